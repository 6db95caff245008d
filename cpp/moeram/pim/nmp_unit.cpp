#include "moeram/pim/nmp_unit.h"

#include <algorithm>

namespace moeram {
namespace {

std::size_t index(Matrix matrix) { return static_cast<std::size_t>(matrix); }

}  // namespace

NmpUnit::NmpUnit(const NmpShape& shape, const NmpUnitOptions& options, Cycle cycle) : shape_(shape), options_(options), cycle_(cycle) {}

Cycle NmpUnit::vectors(std::int64_t elements, int cycles_per_vector) const {
  return ceil_div(elements, options_.sfe_lanes) * cycles_per_vector * cycle_;
}

Cycle NmpUnit::reduce_cycles(std::int64_t tokens) const {
  return ceil_div(tokens * shape_.local_intermediate(), options_.reducer_outputs_per_cycle) * cycle_;
}

Cycle NmpUnit::silu_cycles(std::int64_t tokens) const { return vectors(tokens * shape_.local_intermediate(), options_.silu_cycles_per_vector); }

Cycle NmpUnit::hadamard_cycles(std::int64_t tokens) const {
  return vectors(tokens * shape_.local_intermediate(), options_.hadamard_cycles_per_vector);
}

Cycle NmpUnit::weighted_sum_cycles(std::int64_t tokens) const {
  return vectors(tokens * shape_.hidden_slice(), options_.weighted_sum_cycles_per_vector);
}

void NmpUnit::begin_expert(std::int64_t tokens, Cycle input_ready) {
  tokens_ = tokens;
  matrix_ready_ = {input_ready, input_ready, kNever};
}

Cycle NmpUnit::on_row(Cycle now, const std::vector<RowPiece>& pieces) {
  for (const auto& piece : pieces) {
    const Cycle ready = std::max(now, matrix_ready_[index(piece.matrix)]);
    tensor_.serve(ready, piece.blocks * tokens_ * cycle_);
    if (piece.ends_matrix) end_matrix(piece.matrix);
  }
  return tensor_.free_at;
}

void NmpUnit::end_matrix(Matrix matrix) {
  matrix_end_[index(matrix)] = tensor_.free_at;
  if (matrix == Matrix::down) return;
  const Cycle reduced = reducer_.serve(tensor_.free_at, reduce_cycles(tokens_));
  if (matrix == Matrix::gate) {
    gate_reduced_ = reduced;
    if (options_.overlap_silu) silu_done_ = serve_special(reduced, silu_cycles(tokens_));
    return;
  }
  if (!options_.overlap_silu) silu_done_ = serve_special(std::max(gate_reduced_, reduced), silu_cycles(tokens_));
  matrix_ready_[index(Matrix::down)] = serve_special(std::max(silu_done_, reduced), hadamard_cycles(tokens_));
}

// Sums that became ready before this job go first: one engine, first come, first served.
Cycle NmpUnit::serve_special(Cycle ready, Cycle duration) {
  while (options_.overlap_weighted_sum && !waiting_sums_.empty() && waiting_sums_.front().ready <= ready) {
    sums_done_ = special_.serve(waiting_sums_.front().ready, waiting_sums_.front().duration);
    waiting_sums_.erase(waiting_sums_.begin());
  }
  return special_.serve(ready, duration);
}

void NmpUnit::add_weighted_sum(Cycle ready, std::int64_t tokens) {
  waiting_sums_.push_back({ready, weighted_sum_cycles(tokens)});
  sum_busy_ += waiting_sums_.back().duration;
}

// Nobody asks a queue to begin before now, but for the sums that wait: when it became free is of no interest before that.
void NmpUnit::canonical(Cycle now, std::vector<std::int64_t>& out) const {
  const Cycle first_sum = waiting_sums_.empty() ? now : std::min(now, waiting_sums_.front().ready);
  out.insert(out.end(), {std::max(tensor_.free_at, now) - now, std::max(reducer_.free_at, now) - now, std::max(special_.free_at, first_sum) - now});
  out.push_back(static_cast<std::int64_t>(waiting_sums_.size()));
  for (const auto& job : waiting_sums_) out.insert(out.end(), {job.ready - now, job.duration});
}

Cycle NmpUnit::finish_sums(Cycle not_before) {
  for (const auto& job : waiting_sums_) sums_done_ = special_.serve(std::max(job.ready, not_before), job.duration);
  waiting_sums_.clear();
  return sums_done_;
}

}  // namespace moeram
