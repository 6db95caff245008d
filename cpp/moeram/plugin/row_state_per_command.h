// Row statistics as Ramulator 2.0's BHDRAMController counts them: by command, of requests that no row was opened for yet.
#pragma once

#include <vector>

#include "moeram/controller/listener.h"

namespace moeram {

class RowStatePerCommand : public CommandListener {
 public:
  RowStatePerCommand(const Spec& spec, int cores);
  void on_command(Cycle now, int command, const Request& request) override;
  void describe(Component& out) const override;
  bool is_part_of_controller() const override { return true; }
  std::string name() const override { return "RowStatePerCommand"; }

 private:
  struct Counts {
    std::int64_t hits = 0, misses = 0, conflicts = 0;
  };
  const Spec& spec_;
  Counts all_;
  std::vector<Counts> cores_;
};

}  // namespace moeram
