// A controller listener: how many activations did each bank get?
#pragma once

#include <vector>

#include "moeram/plugin.h"

class RowHeat : public moeram::plugin::Component {
 public:
  explicit RowHeat(const moeram::plugin::Context& context);
  void on_command(std::int64_t cycle, int command, const moeram::plugin::Request& request) override;
  void finish() override;

 private:
  std::vector<std::int64_t> activations_;  // by bank
  std::int64_t in_lock_step_ = 0;          // of several banks together, which name none
};
