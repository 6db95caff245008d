#include "moeram/controller/queue.h"

#include <algorithm>

namespace moeram {

RequestQueue::RequestQueue(const Device& device, int nominal_size, bool by_bank)
    : device_(device), row_level_(static_cast<std::size_t>(device.spec().row_level)), nominal_size_(nominal_size), by_bank_(by_bank) {}

bool RequestQueue::push(const Request& request) {
  if (full()) return false;
  if (free_.empty()) {
    free_.push_back(static_cast<int>(slots_.size()));
    slots_.emplace_back();
  }
  const int slot = free_.back();
  free_.pop_back();
  const bool loose = !belongs_to_bank(request);
  Entry& item = entry(slot);
  item.request = request;
  item.previous = last_;
  item.next = item.bank_previous = item.bank_next = kNone;
  item.next_command = -1;
  item.age = next_age_++;
  item.loose = loose;
  (last_ == kNone ? first_ : entry(last_).next) = slot;
  last_ = slot;
  ++size_;
  if (loose) {
    const bool one_bank = request.bank >= 0 && device_.only_wants_row(request.final_command);
    loose_.push_back({0, slot, one_bank ? request.bank : -1, -1});
    earliest_ready_ = 0;
  } else {
    link_to_bank(slot, request.bank);
  }
  return true;
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
  banks_.resize(static_cast<std::size_t>(spec.banks()));
  const int nodes = spec.nodes_at(1);
  banks_per_node_ = spec.banks() / nodes;
  for (const int command : {final_command, spec.open_one, spec.close_one}) {
    for (int node = 0; node < nodes; ++node) groups_.push_back({command, device_.bus_of(command), device_.stride_of(command), node, kNever, {}});
  }
}

void RequestQueue::remove(int slot) {
  Entry& item = entry(slot);
  (item.previous == kNone ? first_ : entry(item.previous).next) = item.next;
  (item.next == kNone ? last_ : entry(item.next).previous) = item.previous;
  if (item.loose) {
    loose_.erase(std::find_if(loose_.begin(), loose_.end(), [&](const Loose& wish) { return wish.slot == slot; }));
  } else {
    unlink_from_bank(slot, item.request.bank);
  }
  free_.push_back(slot);
  --size_;
}

void RequestQueue::state_changed(int bank) {
  for (auto& wish : loose_) {
    if (bank >= 0 && wish.bank >= 0 && wish.bank != bank) continue;
    wish.ready = 0;
    wish.command = -1;
    earliest_ready_ = 0;
  }
  if (banks_.empty()) return;
  if (bank >= 0) {
    if (Bank& changed = banks_[static_cast<std::size_t>(bank)]; changed.first != kNone) find_leaders(changed, bank);
    return;
  }
  for (std::size_t number = 0; number < banks_.size(); ++number) {
    if (banks_[number].first != kNone) find_leaders(banks_[number], static_cast<int>(number));
  }
}

void RequestQueue::link_to_bank(int slot, int number) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  if (bank.first == kNone) {
    bank.first = slot;
    bank.open = device_.row_open(number);
    bank.row = device_.open_row(number);
  } else {
    entry(bank.last).bank_next = slot;
    entry(slot).bank_previous = bank.last;
  }
  bank.last = slot;
  if ((hits(bank, slot) ? bank.hit : bank.other).slot == kNone) lead(bank, number, slot);
}

void RequestQueue::unlink_from_bank(int slot, int number) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  const Entry& item = entry(slot);
  (item.bank_previous == kNone ? bank.first : entry(item.bank_previous).bank_next) = item.bank_next;
  (item.bank_next == kNone ? bank.last : entry(item.bank_next).bank_previous) = item.bank_previous;
  if (bank.hit.slot != slot && bank.other.slot != slot) return;
  // The next one that wants the same takes its place; all before it want something else.
  const bool hit = bank.hit.slot == slot;
  Leader& leader = hit ? bank.hit : bank.other;
  int heir = item.bank_next;
  while (heir != kNone && hits(bank, heir) != hit) heir = entry(heir).bank_next;
  if (heir == kNone) {
    drop(leader);
  } else {
    leader.slot = heir;
    Wish& wish = groups_[static_cast<std::size_t>(leader.group)].wishes[static_cast<std::size_t>(leader.place)];
    wish.slot = heir;
    wish.age = entry(heir).age;
  }
}

void RequestQueue::find_leaders(Bank& bank, int number) {
  drop(bank.hit);
  drop(bank.other);
  bank.open = device_.row_open(number);
  bank.row = device_.open_row(number);
  for (int slot = bank.first; slot != kNone && (bank.other.slot == kNone || (bank.open && bank.hit.slot == kNone)); slot = entry(slot).bank_next) {
    if ((hits(bank, slot) ? bank.hit : bank.other).slot == kNone) lead(bank, number, slot);
  }
}

void RequestQueue::lead(Bank& bank, int number, int slot) {
  const bool hit = hits(bank, slot);
  const Kind kind = hit ? kHit : bank.open ? kClose : kOpen;
  const int index = static_cast<int>(kind) * static_cast<int>(groups_.size() / kKinds) + number / banks_per_node_;
  Group& group = groups_[static_cast<std::size_t>(index)];
  (hit ? bank.hit : bank.other) = {slot, index, static_cast<int>(group.wishes.size())};
  group.wishes.push_back({0, entry(slot).age, slot, number});
  group.earliest = earliest_ready_ = 0;
}

void RequestQueue::drop(Leader& leader) {
  if (leader.slot == kNone) return;
  Group& group = groups_[static_cast<std::size_t>(leader.group)];
  const Wish& last = group.wishes.back();
  Bank& moved = banks_[static_cast<std::size_t>(last.bank)];
  (moved.hit.slot == last.slot ? moved.hit : moved.other).place = leader.place;
  group.wishes[static_cast<std::size_t>(leader.place)] = last;
  group.wishes.pop_back();
  if (group.wishes.empty()) group.earliest = kNever;
  leader.slot = kNone;
}

bool RequestQueue::older(int a, int b) const {
  const Entry& x = entry(a);
  const Entry& y = entry(b);
  return x.request.arrive != y.request.arrive ? x.request.arrive < y.request.arrive : x.age < y.age;
}

int RequestQueue::find_oldest_ready(Cycle now, int bus) {
  Oldest oldest;
  Cycle earliest = kNever;
  for (auto& group : groups_) {
    if (group.earliest <= now && group.bus == bus) look_at(group, now, oldest);
    earliest = std::min(earliest, group.earliest);
  }
  int best = oldest.slot;
  for (auto& wish : loose_) {
    if (wish.ready <= now) look_at(wish, now);
    if (wish.ready <= now && device_.bus_of(wish.command) == bus && (best == kNone || older(wish.slot, best))) best = wish.slot;
    earliest = std::min(earliest, wish.ready);
  }
  earliest_ready_ = earliest;
  return best;
}

// Where requests are kept by bank their ages say all. Wishes younger than the one found need not be asked.
void RequestQueue::look_at(Group& group, Cycle now, Oldest& oldest) {
  group.earliest = start_from(std::max(now, device_.ready_in_group(group.command, group.node)), group.stride);
  if (group.earliest > now) return;
  Cycle earliest = kNever;
  for (auto& wish : group.wishes) {
    if (wish.ready <= now && wish.age < oldest.age) {
      wish.ready = device_.ready_in_bank(group.command, wish.bank);
      if (wish.ready <= now) {
        oldest = {wish.slot, wish.age};
        entry(wish.slot).next_command = group.command;
      }
    }
    earliest = std::min(earliest, wish.ready);
  }
  group.earliest = earliest;
}

void RequestQueue::look_at(Loose& wish, Cycle now) {
  Entry& item = entry(wish.slot);
  const Request& request = item.request;
  if (wish.command < 0) wish.command = device_.prerequisite(request.final_command, request.address, request.bank);
  item.next_command = wish.command;
  wish.ready = device_.ready_at(wish.command, request.address, request.bank);
  if (wish.command == request.final_command) wish.ready = std::max(wish.ready, request.not_before);
  if (const int stride = device_.stride_of(wish.command); stride > 1) wish.ready = start_from(std::max(now, wish.ready), stride);
}

Cycle RequestQueue::first_ready_at(Cycle now) {
  Loose& wish = loose_.front();
  if (wish.ready <= now) look_at(wish, now);
  return wish.ready;
}

Cycle RequestQueue::find_next_ready(Cycle now) const {
  Cycle next = kNever;
  const auto consider = [&](Cycle ready) {
    if (ready > now) next = std::min(next, ready);
  };
  for (const auto& group : groups_) {
    consider(group.earliest);
    if (group.earliest > now) continue;
    for (const auto& wish : group.wishes) consider(wish.ready);
  }
  for (const auto& wish : loose_) consider(wish.ready);
  return next;
}

}  // namespace moeram
