#include "moeram/pim/nmp_channel.h"

#include <algorithm>

namespace moeram {

NmpChannel::NmpChannel(const Spec& spec, int channel, const NmpShape& shape, const NmpUnitOptions& options,
                       const std::vector<std::vector<RowPiece>>& layout, bool skip)
    : RowPort(spec, channel, skip),
      options_(options),
      layout_(layout),
      unit_(shape, options, options.clock_ps / spec.tck_ps),
      latch_free_(static_cast<std::size_t>(options.row_latches), 0) {}

void NmpChannel::add_expert(const ExpertTask& task) { tasks_.push_back(task); }

// Keep as many rows under way as there are latches. A row may stream once the row that used its latch is consumed,
// which is known when that row has begun to stream.
void NmpChannel::top_up() {
  while (sent_ - streamed_ < options_.row_latches && next_task_ < tasks_.size()) {
    const std::int32_t row = tasks_[next_task_].first_row + static_cast<std::int32_t>(next_row_);
    if (!ask_row(row, latch_free_[static_cast<std::size_t>(sent_ % options_.row_latches)])) return;
    ++sent_;
    if (++next_row_ == layout_.size()) {
      next_row_ = 0;
      ++next_task_;
    }
  }
}

void NmpChannel::run_expert(Cycle input_ready) {
  unit_.begin_expert(tasks_[running_task_].tokens, input_ready);
  for (const std::size_t end = running_task_ + 1; running_task_ < end;) {
    top_up();
    step();
  }
}

void NmpChannel::canonical(const Frame& frame, std::vector<std::int64_t>& out) const {
  const Cycle now = controller().now();
  const auto state = controller().canonical(frame);
  out.insert(out.end(), state.begin(), state.end());
  const auto latches = static_cast<std::int64_t>(latch_free_.size());
  for (std::int64_t i = 0; i < latches; ++i) {
    out.push_back(std::max<Cycle>(latch_free_[static_cast<std::size_t>((streamed_ + i) % latches)] - now, 0));
  }
  out.insert(out.end(), {sent_ - streamed_, static_cast<std::int64_t>(next_task_ - running_task_), static_cast<std::int64_t>(next_row_)});
  unit_.canonical(now, out);
}

void NmpChannel::on_row(Cycle now, std::int32_t) {
  const auto& pieces = layout_[running_row_];
  latch_free_[static_cast<std::size_t>(streamed_ % options_.row_latches)] = unit_.on_row(now, pieces);
  for (const auto& piece : pieces) mac_bytes_ += piece.bytes_over_all_banks * tasks_[running_task_].tokens;
  ++streamed_;
  if (++running_row_ == layout_.size()) {
    running_row_ = 0;
    ++running_task_;
  }
}

Cycle NmpChannel::write_rows(std::int32_t first_row, int rows, Cycle data_ready) {
  Cycle written = 0;
  for (int i = 0; i < rows; ++i) written = write_row(first_row + i, data_ready);
  return written;
}

}  // namespace moeram
