// Energy by counting commands: every command of a standard has a price, and time has one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

struct Spec;

// All figures are those of one `scope`: a chip (all chips of a rank work in lock step), a channel, or a stack.
struct CommandEnergy {
  struct Term {
    double pj = 0;
    std::string origin;  // "source: ..." or "assumption: ..."
  };
  std::string scope;
  double units_per_channel = 1;  // chips of a rank; 1 for a channel
  Term background;               // `pj` is pJ per ns, that is mW
  std::vector<Term> commands;    // [command]
};

struct EnergyReport {
  double command_nj = 0;
  double background_nj = 0;
  std::vector<double> by_command_nj;
  double total_nj() const { return command_nj + background_nj; }
  double average_mw = 0;  // total energy over the time that passed
};

// `issued` commands by kind in `ticks` of one channel, priced for one unit of the scope. The spec must carry prices.
EnergyReport price_commands(const Spec& spec, const std::vector<std::int64_t>& issued, Cycle ticks);

}  // namespace moeram
