#include "moeram/pim/attention_channel.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {

AttentionChannel::AttentionChannel(const Spec& spec, int channel, const NmpShape& shape, const NmpUnitOptions& options, bool skip)
    : RowPort(spec, channel, skip),
      shape_(shape),
      options_(options),
      unit_cycle_(options.clock_ps / spec.tck_ps),
      latch_free_(static_cast<std::size_t>(options.row_latches), 0) {}

// The first row waits alone: a later one may be open from its new token, and would overtake it.
void AttentionChannel::top_up() {
  while (sent_ - streamed_ < (streamed_ == 0 ? 1 : options_.row_latches) && next_pass_ < passes_.size()) {
    const CachePass& pass = passes_[next_pass_];
    if (next_row_ == pass.tokens.size()) {
      next_row_ = 0;
      ++next_pass_;
      continue;
    }
    const std::int32_t row = pass.first_row + static_cast<std::int32_t>(next_row_);
    if (!ask_row(row, latch_free_[static_cast<std::size_t>(sent_ % options_.row_latches)])) return;
    ++sent_;
    ++next_row_;
  }
}

Cycle AttentionChannel::run_pass(Cycle ready) {
  ready_ = ready;
  const std::size_t rows = passes_[running_pass_].tokens.size();
  while (running_row_ < rows) {
    top_up();
    step();
  }
  running_row_ = 0;
  ++running_pass_;
  return rows == 0 ? ready : tensor.free_at;
}

void AttentionChannel::on_row(Cycle now, std::int32_t row) {
  const CachePass& pass = passes_[running_pass_];
  if (row != pass.first_row + static_cast<std::int32_t>(running_row_)) throw EngineError("row " + std::to_string(row) + " of a cache streams out of order");
  const std::int64_t tokens = pass.tokens[running_row_++];
  const std::int64_t blocks = ceil_div(ceil_div(tokens, shape_.banks_per_channel) * pass.token_bytes, shape_.mac_block_bytes);
  tokens_streamed += tokens;
  latch_free_[static_cast<std::size_t>(streamed_++ % options_.row_latches)] =
      tensor.serve(std::max(now, ready_), blocks * pass.queries * unit_cycle_);
}

}  // namespace moeram
