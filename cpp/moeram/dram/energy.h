// Energy bookkeeping of one channel after Ramulator 2.0's DDR4/DDR5 model.
#pragma once

#include <span>
#include <vector>

#include "moeram/dram/spec.h"

namespace moeram {

struct RankEnergy {
  Cycle active_cycles = 0;
  Cycle idle_cycles = 0;
  double active_background_nj = 0;
  double idle_background_nj = 0;
  double command_nj = 0;
  std::vector<double> term_nj;               // by PowerModel::commands
  std::vector<std::int64_t> cycle_statistics;  // by PowerModel::cycle_statistics
  double background_nj() const { return active_background_nj + idle_background_nj; }
  double total_nj() const { return background_nj() + command_nj; }
};

// What a rank has counted, as if its running interval ended now.
struct RankCounts {
  Cycle active_cycles = 0;
  Cycle idle_cycles = 0;
  std::vector<std::int64_t> commands;  // by PowerModel::commands
};

// Open and refreshing banks of a rank before a command takes effect.
struct RankLoad {
  int open = 0;
  int refreshing = 0;
  int open_same_number = 0;  // of those open, the ones with the addressed bank's number in its group
};

class EnergyMeter {
 public:
  // The spec must carry a power model.
  explicit EnergyMeter(const Spec& spec);

  void on_command(int command, int rank, RankLoad load, Cycle now);
  std::vector<RankCounts> counts(Cycle now) const;
  // `times` what the counts of each rank, in order, grow by.
  void take_as_done(std::span<const std::int64_t> growth, std::int64_t times);
  std::vector<RankEnergy> price(const std::vector<RankCounts>& counts) const;
  // True once an interval was counted from a point in the past that lies before another state.
  bool odd() const;
  // What later counts depend on beside the commands.
  void canonical(std::vector<std::int64_t>& out) const;

 private:
  enum class Effect : std::uint8_t {
    none,
    count_only,
    activate,               // counts and begins the active state
    precharge,
    precharge_all,
    precharge_same,
    refresh,
    refresh_end,
    row_refresh_end,        // of one bank
    same_banks_refresh_end  // of one bank in every group
  };
  enum class State : std::uint8_t { idle, active, refreshing };
  struct Rank {
    State state = State::idle;
    Cycle since_active = 0;
    Cycle since_idle = 0;
    bool odd = false;  // an interval was closed that was not running, which 2.0's bookkeeping can do
    RankCounts counts;
  };
  void become_idle(Rank& rank, Cycle now);

  const Spec& spec_;
  std::vector<Effect> effects_;   // [command]
  std::vector<int> counters_;     // [command] -1: none
  int groups_;
  std::vector<Rank> ranks_;
};

}  // namespace moeram
