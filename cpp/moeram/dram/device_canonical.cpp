// The state of a device in relative terms.
#include <algorithm>

#include "moeram/dram/device.h"

namespace moeram {
namespace {
constexpr Cycle kNeverIssued = -1;
}

void Device::canonical(Cycle now, const Frame& frame, std::vector<std::int64_t>& out) const {
  // A limit that has passed and one never set say the same; so does a history entry older than every row that could use it.
  for (int level = 0; level < levels_; ++level) {
    for (int label = 0; label < spec_.nodes_at(level); ++label) {
      const int node = frame.node(level, label);
      const Cycle* earliest = &earliest_[static_cast<std::size_t>((level_offset_[static_cast<std::size_t>(level)] + node) * commands_)];
      for (int command = 0; command < commands_; ++command) out.push_back(std::max<Cycle>(earliest[command] - now, 0));
    }
  }
  for (std::size_t slot = 0; slot < history_window_.size(); ++slot) {
    const int window = history_window_[slot];
    if (window == 0) continue;
    const int level = static_cast<int>(slot) / commands_;
    Cycle reach = 0;
    for (const auto& row : spec_.rows[static_cast<std::size_t>(level)][slot % static_cast<std::size_t>(commands_)]) {
      if (row.window > 1) reach = std::max(reach, *std::max_element(row.latency.begin(), row.latency.end()));
    }
    for (int label = 0; label < spec_.nodes_at(level); ++label) {
      const Cycle* latest = &history_[static_cast<std::size_t>(history_offset_[slot] + frame.node(level, label) * window)];
      for (int i = 0; i < window; ++i) out.push_back(latest[i] == kNeverIssued ? -reach : std::max(latest[i] - now, -reach));
    }
  }
  for (int label = 0; label < spec_.banks(); ++label) {
    const int number = frame.node(spec_.bank_level, label);
    const Bank& bank = banks_[static_cast<std::size_t>(number)];
    const bool has_row = bank.state == BankState::opened || bank.state == BankState::half_opened;
    out.push_back(static_cast<std::int64_t>(bank.state));
    out.push_back(has_row ? frame.row_label(number, bank.row) : 0);
    if (spec_.classes.size() > 1) out.push_back(has_row ? class_of_row(bank.row) : 0);
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
