// A resolved standard: every name replaced by an index, every expression by a number of cycles.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/types.h"
#include "moeram/dram/command_energy.h"
#include "moeram/dram/rules.h"

namespace moeram {

inline constexpr int kMaxLevels = 8;

// One entry per level, channel first; -1 = all nodes of that level.
using Address = std::array<std::int32_t, kMaxLevels>;

struct Command {
  std::string name;
  int scope = 0;  // level at which the command stops
  bool opening = false;
  bool closing = false;
  bool accessing = false;
  bool refreshing = false;
  int bus = 0;            // of Spec::buses, -1: it needs none and none goes beside it
  Cycle bus_ticks = 1;    // how long it takes its bus
  bool whole_cycle = false;  // starts only where a clock cycle starts, which matters with several ticks a cycle
  int apply_later = -1;  // command whose action follows by itself ...
  Cycle apply_after = 0;  // ... this many cycles after the issue
  // In lock step: state is asked of and changed in all nodes of these levels (a bit each), whatever the address names there.
  std::uint32_t span = 0;
  int opens_with = -1, closes_with = -1;  // what brings the banks of the span into the state that the command needs
  std::uint32_t repeat_span = 0;          // banks in which its bank rows start too, beside the addressed one
  bool repeat_shifted = false;            // a fault: they are looked for under the numbers of the level above
};

struct RequestKind {
  std::string name;
  int command = 0;  // the command that completes it
};

// After a command on a node of a level, `following` must wait.
struct TimingRow {
  int following = 0;
  int window = 1;               // counts from the window-th latest issue of the preceding command
  bool sibling = false;         // acts on the other nodes of the level
  std::vector<Cycle> latency;   // one per latency class
};

// Rows [begin, end) share their timing. One class unless the caller asked for more.
struct LatencyClass {
  std::int32_t row_begin = 0;
  std::int32_t row_end = 0;
  std::map<std::string, Cycle> timing;  // overridden parameters
};

// A standard that opens rows in two commands and needs its data clock in step with the command clock.
struct TwoStepOpening {
  int first = -1, second = -1;             // opening commands
  int sync_read = -1, sync_write = -1;     // commands that bring the clock in step
  bool looks_for_row_zero = false;         // 2.0's fault: row 0 counts as the wanted row
  std::vector<Cycle> in_step;              // [command] how long the clock stays in step after it
  Cycle deadline = kNever;                 // the second command comes at most this long after the first
};

struct RefreshRule {
  int request = 0;
  int level = -1;  // -1: the standard lacks the level; the manager then never refreshes (2.0's behaviour)
  Cycle interval = 0;  // ticks between two refreshes of one node, or of two banks below one node
};

// Currents and voltages of the 2.0 energy model; index = counter.
struct PowerModel {
  struct Term {
    std::string name;
    double milliwatt = 0;
    Cycle cycles = 0;
  };
  struct CycleStatistic {
    std::string name;     // "total_rfm_cycles"
    std::size_t counter;  // index into commands
    Cycle cycles = 0;
  };
  double active_milliwatt = 0;
  double idle_milliwatt = 0;
  std::vector<Term> commands;
  std::vector<CycleStatistic> cycle_statistics;
};

struct Spec {
  std::string standard;
  std::string edition;
  std::vector<std::string> levels;
  std::vector<int> counts;  // per level
  std::vector<Command> commands;
  std::vector<RequestKind> requests;
  std::map<std::string, std::int64_t> timing;
  int bank_level = 0;  // deepest level that has nodes; row and column follow
  int row_level = 0;
  int column_level = 0;
  std::vector<std::string> buses = {"command"};  // one command of each may start in a tick
  int ticks_per_cycle = 1;  // the engine steps in ticks; `timing` counts clock cycles
  int prefetch = 0;
  std::int64_t payload_bytes = 0;  // of a request, where it is not prefetch times width
  int channel_width_bits = 0;
  int dq_bits = 0;
  std::int64_t density_mb = 0;
  std::map<std::string, std::int64_t> organization;  // every size of the presets by name
  std::string scaled_from;                           // timing preset that the chosen one was computed from
  Cycle read_latency = 0;  // ticks
  Picosecond tck_ps = 0;   // of a clock cycle

  std::vector<std::vector<std::vector<TimingRow>>> rows;     // [level][preceding]
  std::vector<std::vector<Prerequisite>> prerequisites;      // [level][command]
  std::vector<std::vector<Action>> actions;                  // [level][command]
  std::vector<bool> counts_row_state;                        // [command]
  int open_one = -1, close_one = -1, close_many = -1, close_same = -1;  // answers of the row and bank rules
  int broadcast_open = -1, broadcast_close = -1;             // answers of row_open_in_all_banks
  std::optional<TwoStepOpening> two_step;
  bool rows_accumulate = false;  // a fault: opening a row leaves other rows of the bank open; only closing forgets them
  std::optional<RefreshRule> refresh;           // all banks of a node at once
  std::optional<RefreshRule> refresh_per_bank;  // one bank after the other
  std::optional<PowerModel> power;      // 2.0's model by rank, only if asked for
  std::optional<CommandEnergy> energy;  // prices of commands and time
  std::vector<std::string> cycle_statistics;  // printed even without the energy model, then 0
  std::vector<LatencyClass> classes;

  int level(const std::string& name) const;    // -1 if absent
  int command(const std::string& name) const;  // -1 if absent
  int request(const std::string& name) const;  // -1 if absent
  int nodes_at(int level) const;               // per channel
  int banks() const { return nodes_at(bank_level); }
  double tick_ns() const { return static_cast<double>(tck_ps) / (1000.0 * ticks_per_cycle); }
  int transaction_bytes() const { return payload_bytes > 0 ? static_cast<int>(payload_bytes) : prefetch * channel_width_bits / 8; }
  std::int64_t row_bytes() const { return static_cast<std::int64_t>(counts[column_level]) / prefetch * transaction_bytes(); }
};

}  // namespace moeram
