#include "moeram/dram/device.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {
Device::Device(const Spec& spec) : spec_(spec), timing_(spec), banks_(static_cast<std::size_t>(spec.banks())) {
  const std::size_t commands = spec.commands.size();
  for (int level = 0; level <= spec.bank_level; ++level) fanout_.push_back(spec.banks() / spec.nodes_at(level));
  deepest_action_.assign(commands, -1);
  preq_level_.assign(commands, -1);
  for (int level = 0; level <= spec.bank_level; ++level) {
    const auto l = static_cast<std::size_t>(level);
    for (std::size_t command = 0; command < commands; ++command) {
      if (spec.actions[l][command] != Action::none) deepest_action_[command] = level;
      if (preq_level_[command] < 0 && spec.prerequisites[l][command] != Prerequisite::none) preq_level_[command] = level;
    }
  }
  const auto bank = static_cast<std::size_t>(spec.bank_level);
  for (std::size_t command = 0; command < commands; ++command) {
    deepest_action_[command] = std::min(deepest_action_[command], spec.commands[command].scope);
    only_wants_row_.push_back(preq_level_[command] == spec.bank_level && spec.prerequisites[bank][command] == Prerequisite::row_open);
    bank_action_.push_back(action_in_bank(command));
  }
  if (spec.two_step) half_opened_at_.assign(banks_.size(), 0);
  if (spec.two_step) in_step_until_.assign(static_cast<std::size_t>(spec.nodes_at(1)), -1);
  if (spec.power) meter_ = std::make_unique<EnergyMeter>(spec);
  for (std::size_t command = 0; command < commands; ++command) only_sets_bank_.push_back(only_sets_bank(command));
  find_spans();
}

// What a command to one bank does, if it does that and nothing else.
std::optional<Action> Device::action_in_bank(std::size_t command) const {
  if (deepest_action_[command] < 0) return Action::none;
  for (int level = 0; level < spec_.bank_level; ++level) {
    if (spec_.actions[static_cast<std::size_t>(level)][command] != Action::none) return std::nullopt;
  }
  const Action action = spec_.actions[static_cast<std::size_t>(spec_.bank_level)][command];
  const bool plain = action == Action::open_row || action == Action::close_bank || action == Action::half_open;
  return plain ? std::optional(action) : std::nullopt;
}

// No standard with two-step openings, rows that accumulate or an energy meter has such commands.
bool Device::only_sets_bank(std::size_t command) const {
  const Command& facts = spec_.commands[command];
  if (spec_.two_step || spec_.rows_accumulate || meter_ || facts.repeat_span != 0 || facts.apply_later >= 0) return false;
  const auto& action = bank_action_[command];
  return action && *action != Action::half_open && facts.opening == (*action == Action::open_row);
}

int Device::bank_of(const Address& address) const {
  int bank = 0;
  for (int level = 1; level <= spec_.bank_level; ++level) {
    const auto l = static_cast<std::size_t>(level);
    if (address[l] < 0) return -1;
    bank = bank * spec_.counts[l] + address[l];
  }
  return bank;
}

Device::BankRange Device::banks_below(int level, int node) const {
  const int width = fanout_[static_cast<std::size_t>(level)];
  return {node * width, (node + 1) * width};
}

int Device::prerequisite(int command, const Address& address, int bank) const {
  const int level = preq_level_[static_cast<std::size_t>(command)];
  if (level < 0) return command;
  const Prerequisite rule = spec_.prerequisites[static_cast<std::size_t>(level)][static_cast<std::size_t>(command)];
  const std::int32_t row = address[static_cast<std::size_t>(spec_.row_level)];
  if (rule == Prerequisite::row_open || rule == Prerequisite::bank_closed) {
    const Bank& state = banks_[static_cast<std::size_t>(bank)];
    if (rule == Prerequisite::bank_closed) return state.state == BankState::opened ? spec_.close_one : command;
    if (state.state != BankState::opened) return spec_.open_one;
    return holds_row(bank, row) ? command : spec_.close_one;
  }
  if (rule == Prerequisite::row_open_in_span || rule == Prerequisite::row_open_in_span_first || rule == Prerequisite::row_open_in_span_lazy) {
    return span_prerequisite(command, rule, address);
  }
  if (rule == Prerequisite::bank_closed_strict) return banks_[static_cast<std::size_t>(bank)].state == BankState::closed ? command : spec_.close_one;
  if (rule == Prerequisite::two_step_read || rule == Prerequisite::two_step_write || rule == Prerequisite::two_step_open) return two_step_prerequisite(command, rule, address, bank);
  if (rule == Prerequisite::all_banks_closed_strict && level == spec_.bank_level) return any_bank_not_closed(0, 0, address) ? spec_.close_many : command;
  int node = 0;
  for (int l = 1; l <= level; ++l) node = node * spec_.counts[static_cast<std::size_t>(l)] + address[static_cast<std::size_t>(l)];
  const BankRange range = banks_below(level, node);
  if (rule == Prerequisite::same_banks_closed) return same_banks_prerequisite(command, address, range);
  if (rule == Prerequisite::row_open_in_all_banks) {
    bool all_closed = true;
    bool all_match = true;
    for (int b = range.begin; b < range.end; ++b) {
      const Bank& state = banks_[static_cast<std::size_t>(b)];
      all_closed = all_closed && state.state == BankState::closed;
      all_match = all_match && state.state == BankState::opened && state.row == row;
    }
    return all_match ? command : all_closed ? spec_.broadcast_open : spec_.broadcast_close;
  }
  for (int b = range.begin; b < range.end; ++b) {
    const BankState state = banks_[static_cast<std::size_t>(b)].state;
    if (state == BankState::closed) continue;
    return state == BankState::refreshing && rule == Prerequisite::all_banks_closed ? command : spec_.close_many;
  }
  return command;
}

// Of the banks that the address names, wildcards included.
bool Device::any_bank_not_closed(int level, int node, const Address& address) const {
  if (level == spec_.bank_level) return banks_[static_cast<std::size_t>(node)].state != BankState::closed;
  const int width = spec_.counts[static_cast<std::size_t>(level) + 1];
  const int wanted = address[static_cast<std::size_t>(level) + 1];
  for (int child = wanted < 0 ? 0 : wanted; child < (wanted < 0 ? width : wanted + 1); ++child) {
    if (any_bank_not_closed(level + 1, node * width + child, address)) return true;
  }
  return false;
}

int Device::two_step_prerequisite(int command, Prerequisite rule, const Address& address, int bank) const {
  const TwoStepOpening& opening = *spec_.two_step;
  const Bank& state = banks_[static_cast<std::size_t>(bank)];
  if (state.state == BankState::half_opened) return rule == Prerequisite::two_step_open && command == opening.first ? command : opening.second;
  if (state.state != BankState::opened) return opening.first;
  const std::int32_t wanted = opening.looks_for_row_zero ? 0 : address[static_cast<std::size_t>(spec_.row_level)];
  if (state.row != wanted) return spec_.close_one;
  if (rule == Prerequisite::two_step_open) return command;
  const bool in_step = in_step_until_[static_cast<std::size_t>(bank / fanout_[1])] >= 0;
  return in_step ? command : rule == Prerequisite::two_step_read ? opening.sync_read : opening.sync_write;
}

int Device::same_banks_prerequisite(int command, const Address& address, BankRange rank) const {
  const int per_group = spec_.counts[static_cast<std::size_t>(spec_.bank_level)];
  for (int b = rank.begin + address[static_cast<std::size_t>(spec_.bank_level)]; b < rank.end; b += per_group) {
    if (banks_[static_cast<std::size_t>(b)].state == BankState::opened) return spec_.close_same;
  }
  return command;
}

bool Device::row_hit(const Address& address, int bank) const {
  const Bank& state = banks_[static_cast<std::size_t>(bank)];
  if (state.state == BankState::half_opened && spec_.two_step->looks_for_row_zero) {
    throw EngineError(spec_.standard + "@" + spec_.edition + ": a request meets a bank that another one has half opened; Ramulator 2.0 stops here too");
  }
  return state.state == BankState::opened && state.row == address[static_cast<std::size_t>(spec_.row_level)];
}

int Device::find_class(std::int32_t row) const {
  if (row_origin_ != 0 && row >= 0) row = (row + row_origin_) % spec_.counts[static_cast<std::size_t>(spec_.row_level)];
  const auto found = std::upper_bound(spec_.classes.begin(), spec_.classes.end(), row,
                                      [](std::int32_t value, const LatencyClass& item) { return value < item.row_end; });
  if (row < 0 || found == spec_.classes.end()) throw EngineError("row " + std::to_string(row) + " lies in no latency class of " + spec_.standard);
  return static_cast<int>(found - spec_.classes.begin());
}

void Device::issue(int command, const Address& address, int bank, Cycle now) {
  if (bank >= 0 && only_sets_bank_[static_cast<std::size_t>(command)] != 0) {
    issue_in_bank(command, address[static_cast<std::size_t>(spec_.row_level)], bank, now);
    return;
  }
  const Command& facts = spec_.commands[static_cast<std::size_t>(command)];
  if (spec_.two_step) watch_opening(command, bank, now);
  const int latency_class = facts.opening ? class_of_row(address[static_cast<std::size_t>(spec_.row_level)]) : 0;
  timing_.issue(command, address, bank, now, latency_class);
  if (facts.repeat_span != 0) repeat_bank_rows(command, address, bank, now);
  if (meter_) meter(command, address, now);
  const auto& in_bank = bank_action_[static_cast<std::size_t>(command)];
  if (bank < 0 || !in_bank) {
    apply_actions(command, address, now, 0, 0, deepest_action_[static_cast<std::size_t>(command)]);
  } else if (*in_bank != Action::none) {
    apply(*in_bank, {bank, bank + 1}, address);
  }
  if (facts.apply_later >= 0) {
    later_.push_back({facts.apply_later, address, now + facts.apply_after});
    next_later_ = std::min(next_later_, later_.back().due);
  }
}

void Device::issue_in_bank(int command, std::int32_t row, int bank, Cycle now) {
  const Action action = *bank_action_[static_cast<std::size_t>(command)];
  Bank& state = banks_[static_cast<std::size_t>(bank)];
  int latency_class = 0;
  if (action == Action::open_row) {
    latency_class = class_of_row(row);
    state = {BankState::opened, static_cast<std::uint8_t>(latency_class), row};
  } else if (action == Action::close_bank) {
    state = {};
  }
  timing_.issue_in_bank(command, bank, now, latency_class);
}

void Device::watch_opening(int command, int bank, Cycle now) {
  const TwoStepOpening& opening = *spec_.two_step;
  if (command != opening.first && command != opening.second) return;
  Cycle& since = half_opened_at_[static_cast<std::size_t>(bank)];
  if (command == opening.first) since = now;
  if (command == opening.second && opening.deadline != kNever && now - since > opening.deadline) {
    throw EngineError(spec_.standard + "@" + spec_.edition + ": " + spec_.commands[static_cast<std::size_t>(command)].name + " at cycle " + std::to_string(now) +
                      " comes later than " + std::to_string(opening.deadline) + " after its first half");
  }
}

// From the channel down along the address, to all children where it has a wildcard, as far as the command's scope.
void Device::apply_actions(int command, const Address& address, Cycle now, int level, int node, int deepest) {
  if (level > deepest) return;
  const auto l = static_cast<std::size_t>(level);
  const Action action = spec_.actions[l][static_cast<std::size_t>(command)];
  if (action == Action::keep_in_step || action == Action::extend_in_step) {
    const Cycle until = now + spec_.two_step->in_step[static_cast<std::size_t>(command)];
    keep_in_step(node, action == Action::keep_in_step ? until : std::max(until, in_step_until_[static_cast<std::size_t>(node)]));
  } else if (action == Action::open_row_in_span || action == Action::close_span) {
    apply_to_span(command, action, address);
  } else if (action != Action::none) {
    apply(action, banks_below(level, node), address);
  }
  if (level == deepest) return;
  const int wanted = address[l + 1];
  const int width = spec_.counts[l + 1];
  for (int child = wanted < 0 ? 0 : wanted; child < (wanted < 0 ? width : wanted + 1); ++child) {
    apply_actions(command, address, now, level + 1, node * width + child, deepest);
  }
}

void Device::apply(Action action, BankRange banks, const Address& address) {
  const std::int32_t row = address[static_cast<std::size_t>(spec_.row_level)];
  const bool same_only = action == Action::close_same_banks || action == Action::same_banks_refreshing || action == Action::same_banks_refresh_done;
  if (same_only) banks = bank_of_number(banks, address[static_cast<std::size_t>(spec_.bank_level)]);
  const auto begin = banks_.begin() + banks.begin;
  const auto end = banks_.begin() + banks.end;
  if (spec_.rows_accumulate) {
    for (int b = banks.begin; b < banks.end; ++b) remember_rows(b, action, row);
  }
  switch (action) {
    case Action::open_row:
    case Action::open_row_in_all_banks:
      std::fill(begin, end, Bank{BankState::opened, static_cast<std::uint8_t>(class_of_row(row)), row});
      break;
    case Action::half_open:
      std::fill(begin, end, Bank{BankState::half_opened, static_cast<std::uint8_t>(class_of_row(row)), row});
      break;
    case Action::finish_opening:
      for (auto bank = begin; bank != end; ++bank) bank->state = BankState::opened;
      break;
    case Action::bank_refreshing:
    case Action::same_banks_refreshing:
    case Action::all_banks_refreshing:
      for (auto bank = begin; bank != end; ++bank) bank->state = BankState::refreshing;
      break;
    default:
      std::fill(begin, end, Bank{});
  }
}

// The bank of that number among those of a group; none if there is no such number.
Device::BankRange Device::bank_of_number(BankRange banks, int number) {
  if (number < 0 || number >= banks.end - banks.begin) return {banks.begin, banks.begin};
  return {banks.begin + number, banks.begin + number + 1};
}

void Device::keep_in_step(int node, Cycle until) {
  in_step_until_[static_cast<std::size_t>(node)] = until;
  next_later_ = std::min(next_later_, until + 1);
}

bool Device::apply_due(Cycle now) {
  next_later_ = kNever;
  std::size_t kept = 0;
  for (auto& entry : later_) {
    if (entry.due > now) {
      next_later_ = std::min(next_later_, entry.due);
      later_[kept++] = entry;
      continue;
    }
    if (meter_) meter(entry.command, entry.address, now);
    apply_actions(entry.command, entry.address, now, 0, 0, deepest_action_[static_cast<std::size_t>(entry.command)]);
  }
  later_.resize(kept);
  for (Cycle& until : in_step_until_) {
    if (until >= now) next_later_ = std::min(next_later_, until + 1);
    if (until < now) until = -1;
  }
  return true;
}

void Device::meter(int command, const Address& address, Cycle now) {
  const int level = spec_.level("rank");
  const int rank = address[static_cast<std::size_t>(level)];
  RankLoad load;
  const int number = address[static_cast<std::size_t>(spec_.bank_level)];
  const int per_group = spec_.counts[static_cast<std::size_t>(spec_.bank_level)];
  const BankRange range = banks_below(level, rank);
  for (int b = range.begin; b < range.end; ++b) {
    load.open += banks_[static_cast<std::size_t>(b)].state == BankState::opened;
    load.refreshing += banks_[static_cast<std::size_t>(b)].state == BankState::refreshing;
    if (b % per_group == number) load.open_same_number += banks_[static_cast<std::size_t>(b)].state == BankState::opened;
  }
  meter_->on_command(command, rank, load, now);
}

std::vector<RankEnergy> Device::finish_energy(Cycle now) const { return meter_ ? meter_->price(meter_->counts(now)) : std::vector<RankEnergy>{}; }

}  // namespace moeram
