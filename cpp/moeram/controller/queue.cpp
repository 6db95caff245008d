#include "moeram/controller/queue.h"

#include <algorithm>
#include <iterator>

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
    loose_.push_back({0, slot, one_bank ? request.bank : -1, -1, 0, 1});
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
  nodes_ = spec.nodes_at(1);
  banks_.resize(static_cast<std::size_t>(spec.banks()));
  for (std::size_t number = 0; number < banks_.size(); ++number) banks_[number].node = static_cast<int>(number) / (spec.banks() / nodes_);
  for (const int command : {final_command, spec.open_one, spec.close_one}) {
    for (int node = 0; node < nodes_; ++node) groups_.push_back({command, device_.bus_of(command), device_.stride_of(command), node, kNever, {}});
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
    make_stale(banks_[static_cast<std::size_t>(bank)], bank);
    return;
  }
  for (std::size_t number = 0; number < banks_.size(); ++number) make_stale(banks_[number], static_cast<int>(number));
}

void RequestQueue::make_stale(Bank& bank, int number) {
  if (bank.stale || bank.first == kNone) return;
  bank.stale = true;
  stale_.push_back(number);
  earliest_ready_ = 0;
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
  if (!bank.stale && (hits(bank, slot) ? bank.hit : bank.other) == kNone) lead(bank, number, slot);
}

void RequestQueue::unlink_from_bank(int slot, int number) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  const Entry& item = entry(slot);
  (item.bank_previous == kNone ? bank.first : entry(item.bank_previous).bank_next) = item.bank_next;
  (item.bank_next == kNone ? bank.last : entry(item.bank_next).bank_previous) = item.bank_previous;
  if (bank.other == slot) {
    drop(bank.other, group_of_other(bank));
    make_stale(bank, number);  // it got its row opened, so the state changes too
  }
  if (bank.hit != slot) return;
  int heir = item.bank_next;
  while (heir != kNone && !hits(bank, heir)) heir = entry(heir).bank_next;
  if (heir == kNone) {
    drop(bank.hit, group_of(bank, kHit));
  } else {
    hand_over(bank.hit, heir, group_of(bank, kHit));
  }
}

// A younger one takes a leader's place, as ready as that was, behind those that are older.
void RequestQueue::hand_over(int& slot, int heir, Group& group) {
  auto place = group.leaders.begin();
  while (place->slot != slot) ++place;
  const Leader leader{place->ready, entry(heir).age, heir, place->bank};
  for (; std::next(place) != group.leaders.end() && std::next(place)->age < leader.age; ++place) *place = *std::next(place);
  *place = leader;
  slot = heir;
}

void RequestQueue::find_leaders(Bank& bank, int number) {
  bank.stale = false;
  drop(bank.hit, group_of(bank, kHit));
  drop(bank.other, group_of_other(bank));
  bank.open = device_.row_open(number);
  bank.row = device_.open_row(number);
  for (int slot = bank.first; slot != kNone && (bank.other == kNone || (bank.open && bank.hit == kNone)); slot = entry(slot).bank_next) {
    if ((hits(bank, slot) ? bank.hit : bank.other) == kNone) lead(bank, number, slot);
  }
}

void RequestQueue::lead(Bank& bank, int number, int slot) {
  const bool hit = hits(bank, slot);
  Group& group = hit ? group_of(bank, kHit) : group_of_other(bank);
  (hit ? bank.hit : bank.other) = slot;
  const std::uint64_t age = entry(slot).age;
  auto place = group.leaders.end();
  while (place != group.leaders.begin() && age < std::prev(place)->age) --place;
  group.leaders.insert(place, {0, age, slot, number});
  group.earliest = earliest_ready_ = 0;
}

void RequestQueue::drop(int& slot, Group& group) {
  if (slot == kNone) return;
  auto place = group.leaders.begin();
  while (place->slot != slot) ++place;
  group.leaders.erase(place);
  if (group.leaders.empty()) group.earliest = kNever;
  slot = kNone;
}

bool RequestQueue::older(int a, int b) const {
  const Entry& x = entry(a);
  const Entry& y = entry(b);
  return x.request.arrive != y.request.arrive ? x.request.arrive < y.request.arrive : x.age < y.age;
}

int RequestQueue::find_oldest_ready(Cycle now, int bus) {
  if (!stale_.empty()) refresh_leaders();
  int best = kNone;
  std::uint64_t age = ~std::uint64_t{0};
  Cycle earliest = kNever;
  for (auto& group : groups_) {
    if (group.earliest <= now && group.bus == bus) {
      if (const Leader* found = find_ready_leader(group, now, age)) {
        best = found->slot;
        age = found->age;
        entry(best).next_command = group.command;
      }
    }
    earliest = std::min(earliest, group.earliest);
  }
  for (auto& wish : loose_) {
    if (wish.ready <= now) look_at(wish, now);
    earliest = std::min(earliest, wish.ready);
    if (wish.ready > now || wish.bus != bus || (best != kNone && older(best, wish.slot))) continue;
    best = wish.slot;
    entry(best).next_command = wish.command;
  }
  earliest_ready_ = earliest;
  return best;
}

// The oldest that is ready, if it is older than `below_age`; nobody asks for the others. Where requests are kept by
// bank their ages say all.
const RequestQueue::Leader* RequestQueue::find_ready_leader(Group& group, Cycle now, std::uint64_t below_age) {
  group.earliest = start_from(std::max(now, device_.ready_in_group(group.command, group.node)), group.stride);
  if (group.earliest > now) return nullptr;
  Cycle earliest = kNever;
  for (auto& leader : group.leaders) {
    if (leader.age >= below_age) return nullptr;
    if (leader.ready <= now) {
      leader.ready = device_.ready_in_bank(group.command, leader.bank);
      if (leader.ready <= now) return &leader;
    }
    earliest = std::min(earliest, leader.ready);
  }
  group.earliest = earliest;
  return nullptr;
}

void RequestQueue::refresh_leaders() {
  for (const int number : stale_) find_leaders(banks_[static_cast<std::size_t>(number)], number);
  stale_.clear();
}

void RequestQueue::look_at(Loose& wish, Cycle now) {
  const Request& request = at(wish.slot);
  if (wish.command < 0) {
    wish.command = device_.prerequisite(request.final_command, request.address, request.bank);
    wish.bus = device_.bus_of(wish.command);
    wish.stride = device_.stride_of(wish.command);
  }
  wish.ready = device_.ready_at(wish.command, request.address, request.bank);
  if (wish.command == request.final_command) wish.ready = std::max(wish.ready, request.not_before);
  if (wish.stride > 1) wish.ready = start_from(std::max(now, wish.ready), wish.stride);
}

Cycle RequestQueue::first_ready_at(Cycle now) {
  Loose& wish = loose_.front();
  if (wish.ready <= now) look_at(wish, now);
  entry(wish.slot).next_command = wish.command;
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
    for (const auto& leader : group.leaders) consider(leader.ready);
  }
  for (const auto& wish : loose_) consider(wish.ready);
  return next;
}

}  // namespace moeram
