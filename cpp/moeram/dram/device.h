// The state of one channel's DRAM: which command a wish needs first, when it may be issued, and what issuing does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "moeram/dram/energy.h"
#include "moeram/dram/frame.h"
#include "moeram/dram/spec.h"
#include "moeram/dram/timing.h"

namespace moeram {

// The first tick from `earliest` on that begins a step of `stride` ticks; the first tick of all is 1.
inline Cycle start_from(Cycle earliest, int stride) {
  return stride == 1 ? earliest : (std::max<Cycle>(earliest, 1) + stride - 2) / stride * stride + 1;
}

class Device {
 public:
  explicit Device(const Spec& spec);

  // Flat index of the addressed bank within the channel; -1 if any level down to the bank is a wildcard.
  int bank_of(const Address& address) const;

  // The command that has to be issued next on the way to `command`; `command` itself if it is due.
  int prerequisite(int command, const Address& address, int bank) const;
  // For a command that opens a row in all banks of its span and does nothing else: is it open in all of them already?
  bool has_opened(int command, const Address& address) const;

  // Earliest cycle at which timing lets `command` go (it may have to wait for a clock cycle to
  // begin, see start_from); only levels down to its scope count, as in 2.0.
  Cycle ready_at(int command, const Address& address, int bank) const {
    return bank < 0 ? timing_.ready_below(command, address) : timing_.ready_in_bank(command, bank);
  }
  // The same in two parts for a command to one bank: what the channel and its node of level 1 say, and what the levels below.
  Cycle ready_in_group(int command, int group) const { return timing_.ready_in_group(command, group); }
  Cycle ready_below_group(int command, int bank) const { return timing_.ready_below_group(command, bank); }

  // Throws EngineError on a half-opened bank if the standard has 2.0's fault of not knowing that state.
  bool row_hit(const Address& address, int bank) const;
  bool row_open(int bank) const { return banks_[static_cast<std::size_t>(bank)].state == BankState::opened; }

  // `bank` as bank_of() gives it.
  void issue(int command, const Address& address, int bank, Cycle now);
  void issue(int command, const Address& address, Cycle now) { issue(command, address, bank_of(address), now); }

  // The earliest cycle that issuing a command now would leave to another one; 0 if it does not hold it back.
  Cycle earliest_after(int command, const Address& issued, int following, const Address& held, Cycle now) const {
    return timing_.earliest_after(command, issued, following, held, now);
  }

  // Has issuing it an effect on the state of banks, and on that of the addressed bank alone?
  bool changes_state(int command) const { return deepest_action_[static_cast<std::size_t>(command)] >= 0; }
  bool changes_only_its_bank(int command) const { return bank_action_[static_cast<std::size_t>(command)].has_value(); }

  // Run what became due by itself (the end of a refresh); true if that was anything. Called first in every tick.
  bool tick(Cycle now) { return now >= next_later_ && apply_due(now); }

  // The banks of a command's span, or the addressed one.
  template <class Visit>
  void visit_banks(int command, const Address& address, Visit visit) const {
    const int base = span_base(spec_.commands[static_cast<std::size_t>(command)].span, address);
    for (const int offset : span_offsets_[static_cast<std::size_t>(command)]) visit(base + offset);
  }

  Cycle next_event() const { return next_later_; }

  // True if the prerequisite of a command is decided by the open row of its bank alone.
  bool only_wants_row(int command) const { return only_wants_row_[static_cast<std::size_t>(command)] != 0; }
  std::int32_t open_row(int bank) const { return banks_[static_cast<std::size_t>(bank)].row; }
  // Ticks between two in which the command may start: 1, or those of a clock cycle.
  int stride_of(int command) const { return spec_.commands[static_cast<std::size_t>(command)].whole_cycle ? spec_.ticks_per_cycle : 1; }
  int bus_of(int command) const { return spec_.commands[static_cast<std::size_t>(command)].bus; }
  // Latency class of the row opened last in a bank.
  int open_class(int bank) const { return banks_[static_cast<std::size_t>(bank)].latency_class; }
  int class_of_row(std::int32_t row) const { return spec_.classes.size() == 1 ? 0 : find_class(row); }
  // From now on row r stands for row r + origin where latency classes are asked, counted round.
  void set_row_origin(std::int32_t origin) { row_origin_ = origin; }

  // The state relative to `now` and to where a stream stands, equal for two devices that will behave alike from here on.
  void canonical(Cycle now, const Frame& frame, std::vector<std::int64_t>& out) const;

  std::vector<RankEnergy> finish_energy(Cycle now) const;
  EnergyMeter* meter() { return meter_.get(); }
  const EnergyMeter* meter() const { return meter_.get(); }
  const Spec& spec() const { return spec_; }

 private:
  enum class BankState : std::uint8_t { closed, opened, refreshing, half_opened };
  struct Bank {
    BankState state = BankState::closed;
    std::uint8_t latency_class = 0;
    std::int32_t row = 0;
  };
  struct Later {
    int command;
    Address address;
    Cycle due;
  };
  struct BankRange {
    int begin;
    int end;
  };

  int find_class(std::int32_t row) const;
  std::optional<Action> action_in_bank(std::size_t command) const;
  bool only_sets_bank(std::size_t command) const;
  bool any_bank_not_closed(int level, int node, const Address& address) const;
  int two_step_prerequisite(int command, Prerequisite rule, const Address& address, int bank) const;
  // Commands to banks in lock step (device_spans.cpp).
  int span_prerequisite(int command, Prerequisite rule, const Address& address) const;
  void apply_to_span(int command, Action action, const Address& address);
  void repeat_bank_rows(int command, const Address& address, int bank, Cycle now);
  void find_spans();
  int span_base(std::uint32_t span, const Address& address) const;
  void remember_rows(int bank, Action action, std::int32_t row);
  bool holds_row(int bank, std::int32_t row) const;
  int same_banks_prerequisite(int command, const Address& address, BankRange rank) const;
  void apply_actions(int command, const Address& address, Cycle now, int level, int node, int deepest);
  void apply(Action action, BankRange banks, const Address& address);
  static BankRange bank_of_number(BankRange banks, int number);
  void issue_in_bank(int command, std::int32_t row, int bank, Cycle now);
  void watch_opening(int command, int bank, Cycle now);
  void keep_in_step(int node, Cycle until);
  bool apply_due(Cycle now);
  void meter(int command, const Address& address, Cycle now);
  BankRange banks_below(int level, int node) const;

  const Spec& spec_;
  Timing timing_;
  std::vector<int> fanout_;          // [level] banks below one node
  std::vector<int> deepest_action_;  // [command] deepest level with an action, -1 none
  std::vector<int> preq_level_;      // [command] first level with a prerequisite rule, -1 none
  std::vector<std::uint8_t> only_wants_row_;
  std::vector<std::optional<Action>> bank_action_;  // [command] the one thing it does in one bank, if it is no more
  std::vector<bool> opens_span_;                    // [command] opens a row in several banks, and does nothing else
  std::vector<std::uint8_t> only_sets_bank_;        // [command] beside timing it changes one bank's state, or nothing
  std::vector<Bank> banks_;
  std::vector<Later> later_;
  Cycle next_later_ = kNever;
  std::vector<Cycle> half_opened_at_;  // [bank] only with two-step openings
  std::vector<Cycle> in_step_until_;  // [node of the level that keeps the clock], only with two-step openings; -1: out of step
  std::int32_t row_origin_ = 0;
  std::vector<std::vector<int>> span_offsets_, repeat_offsets_;  // [command] banks of a span, from its first
  std::vector<std::vector<std::int32_t>> other_rows_;            // [bank] open beside Bank::row; empty unless rows accumulate
  std::unique_ptr<EnergyMeter> meter_;
};

}  // namespace moeram
