#include "moeram/plugin/activation_meter.h"

namespace moeram {

Cycle ActivationMeter::standard_window(const Spec& spec) {
  const auto interval = spec.timing.find("nREFI");
  return interval == spec.timing.end() || interval->second < 1 ? -1 : 8192 * interval->second;
}

void ActivationMeter::on_command(Cycle now, int command, const Request& request) {
  const Command& facts = spec_.commands[static_cast<std::size_t>(command)];
  if (!facts.opening) return;
  if (now >= window_end_) {
    counts_.clear();
    window_end_ = (now / window_ + 1) * window_;
  }
  if (facts.span == 0) {
    if (facts.scope == spec_.row_level && request.bank >= 0) count(now, request.bank, request.address);
    return;
  }
  for (int bank = 0; bank < spec_.banks(); ++bank) {
    if (is_reached(facts.span, request.address, bank)) count(now, bank, request.address);
  }
}

// A bank whose digits are those of the address but at the levels in lock step.
bool ActivationMeter::is_reached(std::uint32_t span, const Address& address, int bank) const {
  for (int level = spec_.bank_level; level > 0; --level) {
    const auto l = static_cast<std::size_t>(level);
    if ((span >> level & 1U) == 0 && bank % spec_.counts[l] != address[l]) return false;
    bank /= spec_.counts[l];
  }
  return true;
}

void ActivationMeter::count(Cycle now, int bank, const Address& address) {
  const std::int32_t row = address[static_cast<std::size_t>(spec_.row_level)];
  const std::uint64_t key = static_cast<std::uint64_t>(bank) << 32 | static_cast<std::uint32_t>(row);
  const std::int64_t count = ++counts_[key];
  if (count <= most_) return;
  most_ = count;
  most_bank_ = bank;
  most_row_ = row;
  most_window_ = now / window_;
}

void ActivationMeter::describe(Component& out) const {
  const std::string suffix = "_" + std::to_string(channel_);
  out.add("max_act_per_row" + suffix, most_);
  out.add("max_act_bank" + suffix, most_bank_);
  out.add("max_act_row" + suffix, most_row_);
  out.add("max_act_window" + suffix, most_window_);
  out.add("window_cycles" + suffix, window_);
}

}  // namespace moeram
