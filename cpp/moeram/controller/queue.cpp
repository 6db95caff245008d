#include "moeram/controller/queue.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {

RequestQueue::RequestQueue(const Device& device, int nominal_size, bool by_bank)
    : device_(device), row_level_(static_cast<std::size_t>(device.spec().row_level)), nominal_size_(nominal_size), by_bank_(by_bank) {
  if (nominal_size_ >= kPlaces) throw EngineError("a queue of " + std::to_string(nominal_size) + " requests is longer than " + std::to_string(kPlaces));
}

bool RequestQueue::push(const Request& request) {
  if (full()) return false;
  if (size_ == 0) next_place_ = 0;
  if (next_place_ == kPlaces) move_together();
  const int slot = next_place_++;
  at(slot) = request;
  all_ |= bit(slot);
  ++size_;
  if (belongs_to_bank(request)) {
    link_to_bank(slot, request.bank);
    return true;
  }
  wish(slot) = Wish::of(request, device_);
  loose_ |= bit(slot);
  earliest_ready_ = 0;
  return true;
}

// All places were given: the requests that are left take the first ones, in the same order.
void RequestQueue::move_together() {
  std::array<int, kPlaces> moved;
  next_place_ = 0;
  for_each(all_, [&](int slot) {
    moved[static_cast<std::size_t>(slot)] = next_place_;
    if (slot != next_place_) at(next_place_) = at(slot);
    wish(next_place_++) = wish(slot);
  });
  const auto move_one = [&](int& slot) {
    if (slot != kNone) slot = moved[static_cast<std::size_t>(slot)];
  };
  const auto move_all = [&](Places& places) {
    Places to = 0;
    for_each(places, [&](int slot) { to |= bit(moved[static_cast<std::size_t>(slot)]); });
    places = to;
  };
  move_all(all_);
  move_all(loose_);
  for (auto& group : groups_) move_all(group.leaders);
  for (auto& bank : banks_) {
    if (bank.all == 0) continue;
    move_all(bank.all);
    move_one(bank.hit);
    move_one(bank.other);
  }
}

// All that are kept by bank must have the same final command, so that the hits of a bank are ready together.
bool RequestQueue::belongs_to_bank(const Request& request) {
  if (!by_bank_ || request.bank < 0 || request.not_before > 0) return false;
  if (banks_.empty() && device_.only_wants_row(request.final_command)) open_banks(request.final_command);
  return request.final_command == hit_command_;
}

void RequestQueue::open_banks(int final_command) {
  const Spec& spec = device_.spec();
  hit_command_ = final_command;
  nodes_ = spec.nodes_at(1);
  banks_.resize(static_cast<std::size_t>(spec.banks()));
  for (std::size_t number = 0; number < banks_.size(); ++number) banks_[number].node = static_cast<int>(number) / (spec.banks() / nodes_);
  for (const int command : {final_command, spec.open_one, spec.close_one}) {
    for (int node = 0; node < nodes_; ++node) groups_.push_back({kNever, 0, command, device_.bus_of(command), device_.stride_of(command), node});
  }
}

void RequestQueue::remove(int slot) {
  all_ &= ~bit(slot);
  --size_;
  if ((loose_ & bit(slot)) != 0) {
    loose_ &= ~bit(slot);
  } else {
    unlink_from_bank(slot, at(slot).bank);
  }
}

void RequestQueue::state_changed(int bank) {
  for_each(loose_, [&](int slot) {
    if (wish(slot).state_changed(bank)) earliest_ready_ = 0;
  });
  if (banks_.empty()) return;
  if (bank >= 0) {
    make_stale(banks_[static_cast<std::size_t>(bank)], bank);
    return;
  }
  for (std::size_t number = 0; number < banks_.size(); ++number) make_stale(banks_[number], static_cast<int>(number));
}

void RequestQueue::make_stale(Bank& bank, int number) {
  if (bank.stale || bank.all == 0) return;
  bank.stale = true;
  stale_.push_back(number);
  earliest_ready_ = 0;
}

void RequestQueue::link_to_bank(int slot, int number) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  if (bank.all == 0) {
    bank.open = device_.row_open(number);
    bank.row = device_.open_row(number);
  }
  bank.all |= bit(slot);
  const bool hit = hits(bank, slot);
  if (!bank.stale && (hit ? bank.hit : bank.other) == kNone) lead(bank, number, slot, hit);
}

void RequestQueue::unlink_from_bank(int slot, int number) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  bank.all &= ~bit(slot);
  if (bank.other == slot) {
    drop(bank.other, group_of_other(bank));
    make_stale(bank, number);  // it got its row opened, so the state changes too
  }
  if (bank.hit != slot) return;
  const int heir = find(bank.all, [&](const Request& request) { return request.address[row_level_] == bank.row; });
  if (heir == kNone) {
    drop(bank.hit, group_of(bank, kHit));
  } else {
    hand_over(bank, heir);
  }
}

// A younger hit takes the leader's place, as ready as that was.
void RequestQueue::hand_over(Bank& bank, int heir) {
  group_of(bank, kHit).leaders ^= bit(bank.hit) | bit(heir);
  wish(heir) = wish(bank.hit);
  bank.hit = heir;
}

void RequestQueue::find_leaders(Bank& bank, int number) {
  bank.stale = false;
  drop(bank.hit, group_of(bank, kHit));
  drop(bank.other, group_of_other(bank));
  bank.open = device_.row_open(number);
  bank.row = device_.open_row(number);
  for (Places rest = bank.all; rest != 0 && (bank.other == kNone || (bank.open && bank.hit == kNone)); rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    const bool hit = hits(bank, slot);
    if ((hit ? bank.hit : bank.other) == kNone) lead(bank, number, slot, hit);
  }
}

void RequestQueue::lead(Bank& bank, int number, int slot, bool hit) {
  Group& group = hit ? group_of(bank, kHit) : group_of_other(bank);
  (hit ? bank.hit : bank.other) = slot;
  wish(slot) = {0, number, group.command, group.bus, group.stride};
  group.leaders |= bit(slot);
  group.earliest = earliest_ready_ = 0;
}

void RequestQueue::drop(int& slot, Group& group) {
  if (slot == kNone) return;
  group.leaders &= ~bit(slot);
  if (group.leaders == 0) group.earliest = kNever;
  slot = kNone;
}

int RequestQueue::find_oldest_ready(Cycle now, int bus) {
  if (!stale_.empty()) refresh_leaders();
  int best = groups_.empty() ? kNone : oldest_ready_of(ask_groups(now, bus), now);
  if (loose_ != 0) best = oldest_ready_of_loose(best, now, bus);
  earliest_ready_ = best == kNone ? find_earliest_ready(now, bus) : now;
  return best;
}

// After all were asked whose bound had come, with none found ready.
Cycle RequestQueue::find_earliest_ready(Cycle now, int bus) {
  Cycle earliest = kNever;
  for (auto& group : groups_) {
    if (group.earliest <= now && group.bus == bus) group.earliest = earliest_of(group);
    earliest = std::min(earliest, group.earliest);
  }
  for_each(loose_, [&](int slot) { earliest = std::min(earliest, wish(slot).ready); });
  return earliest;
}

// The leaders of the groups whose node is ready.
RequestQueue::Places RequestQueue::ask_groups(Cycle now, int bus) {
  Places leaders = 0;
  for (auto& group : groups_) {
    if (group.earliest > now || group.bus != bus) continue;
    group.earliest = start_from(std::max(now, device_.ready_in_group(group.command, group.node)), group.stride);
    if (group.earliest <= now) leaders |= group.leaders;
  }
  return leaders;
}

// Nobody asks for those behind it.
int RequestQueue::oldest_ready_of(Places leaders, Cycle now) {
  for (; leaders != 0; leaders &= leaders - 1) {
    Wish& leader = wish(std::countr_zero(leaders));
    if (leader.ready > now) continue;
    leader.ready = device_.ready_below_group(leader.command, leader.bank);
    if (leader.ready <= now) return std::countr_zero(leaders);
  }
  return kNone;
}

Cycle RequestQueue::earliest_of(const Group& group) const {
  Cycle earliest = kNever;
  for_each(group.leaders, [&](int slot) { earliest = std::min(earliest, wish(slot).ready); });
  return earliest;
}

// `best` or one that is kept by no bank. Where requests are kept by bank the order of places is that of arrivals.
int RequestQueue::oldest_ready_of_loose(int best, Cycle now, int bus) {
  for_each(loose_, [&](int slot) {
    Wish& loose = wish(slot);
    if (loose.ready <= now) loose.look_at(at(slot), device_, now);
    if (loose.ready > now || loose.bus != bus) return;
    if (best == kNone || at(slot).arrive < at(best).arrive || (slot < best && at(slot).arrive == at(best).arrive)) best = slot;
  });
  return best;
}

void RequestQueue::refresh_leaders() {
  for (const int number : stale_) find_leaders(banks_[static_cast<std::size_t>(number)], number);
  stale_.clear();
}

Cycle RequestQueue::find_next_ready(Cycle now) const {
  Cycle next = kNever;
  const auto consider = [&](Cycle ready) {
    if (ready > now) next = std::min(next, ready);
  };
  for (const auto& group : groups_) {
    consider(group.earliest);
    if (group.earliest > now) continue;
    for_each(group.leaders, [&](int slot) { consider(wish(slot).ready); });
  }
  for_each(loose_, [&](int slot) { consider(wish(slot).ready); });
  return next;
}

}  // namespace moeram
