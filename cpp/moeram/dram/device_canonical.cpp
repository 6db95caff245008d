// The state of a device in relative terms.
#include "moeram/dram/device.h"

namespace moeram {

void Device::canonical(Cycle now, const Frame& frame, std::vector<std::int64_t>& out) const {
  timing_.canonical(now, frame, out);
  if (spec_.ticks_per_cycle > 1) out.push_back(now % spec_.ticks_per_cycle);  // some commands start only with a cycle
  for (int label = 0; label < spec_.banks(); ++label) {
    const int number = frame.node(spec_.bank_level, label);
    const Bank& bank = banks_[static_cast<std::size_t>(number)];
    const bool has_row = bank.state == BankState::opened || bank.state == BankState::half_opened;
    out.push_back(static_cast<std::int64_t>(bank.state));
    out.push_back(has_row ? frame.row_label(number, bank.row) : 0);
    if (bank.state == BankState::half_opened) out.push_back(now - half_opened_at_[static_cast<std::size_t>(number)]);
    if (spec_.classes.size() > 1) out.push_back(has_row ? class_of_row(bank.row) : 0);
    if (other_rows_.empty()) continue;
    for (const std::int32_t row : other_rows_[static_cast<std::size_t>(number)]) out.push_back(frame.row_label(number, row));
  }
  if (!in_step_until_.empty()) {
    for (int label = 0; label < spec_.nodes_at(1); ++label) {
      const Cycle until = in_step_until_[static_cast<std::size_t>(frame.node(1, label))];
      out.push_back(until < 0 ? -1 : until - now);
    }
  }
  for (const auto& entry : later_) {
    out.push_back(entry.due - now);
    out.push_back(entry.command);
    frame.label(entry.address, out);
  }
  if (meter_) meter_->canonical(out);
}

}  // namespace moeram
