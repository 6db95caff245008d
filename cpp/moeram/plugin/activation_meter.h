// The most activations that any row got within one refresh window: what RowHammer defences are measured by.
#pragma once

#include <unordered_map>

#include "moeram/controller/listener.h"

namespace moeram {

class ActivationMeter : public CommandListener {
 public:
  // Windows [k * window, (k + 1) * window) in cycles of the memory's clock.
  ActivationMeter(const Spec& spec, int channel, Cycle window) : spec_(spec), channel_(channel), window_(window) {}
  void on_command(Cycle now, int command, const Request& request) override;
  void describe(Component& out) const override;
  std::string name() const override { return "ActivationMeter"; }

  // A refresh window is 8192 refresh intervals (JEDEC DDR3 to DDR5, HBM); -1 if the standard has no refresh interval.
  static Cycle standard_window(const Spec& spec);

 private:
  bool is_reached(std::uint32_t span, const Address& address, int bank) const;
  void count(Cycle now, int bank, const Address& address);
  const Spec& spec_;
  int channel_;
  Cycle window_;
  Cycle window_end_ = 0;
  std::unordered_map<std::uint64_t, std::int64_t> counts_;  // of the present window, by bank and row
  std::int64_t most_ = 0;
  std::int64_t most_bank_ = -1, most_row_ = -1, most_window_ = -1;
};

}  // namespace moeram
