#include "row_heat.h"

#include <algorithm>

RowHeat::RowHeat(const moeram::plugin::Context& made_with) : Component(made_with) {
  int banks = 1;
  for (int level = 1; level <= context.device().bank_level; ++level) banks *= context.device().level_sizes[level];
  activations_.assign(static_cast<std::size_t>(banks), 0);
}

void RowHeat::on_command(std::int64_t, int command, const moeram::plugin::Request& request) {
  if (!context.has(command, MOERAM_OPENING)) return;
  if (request.bank < 0) {
    ++in_lock_step_;
  } else {
    ++activations_[static_cast<std::size_t>(request.bank)];
  }
}

void RowHeat::finish() {
  std::int64_t all = 0;
  for (const std::int64_t count : activations_) all += count;
  context.add("activations", all);
  context.add("activations_in_lock_step", in_lock_step_);
  context.add("activations_of_hottest_bank", *std::max_element(activations_.begin(), activations_.end()));
  context.add("activations_per_bank", static_cast<double>(all) / static_cast<double>(activations_.size()));
}
