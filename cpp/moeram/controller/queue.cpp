#include "moeram/controller/queue.h"

#include <algorithm>

namespace moeram {

bool RequestQueue::push(Request request, const Device& device) {
  if (full()) return false;
  if (free_.empty()) {
    free_.push_back(static_cast<int>(slots_.size()));
    slots_.emplace_back();
  }
  const int slot = free_.back();
  free_.pop_back();
  Entry& item = entry(slot);
  item = Entry{};
  item.request = request;
  item.age = next_age_++;
  item.previous = last_;
  (last_ == kNone ? first_ : entry(last_).next) = slot;
  last_ = slot;
  ++size_;
  stale_ = true;
  item.loose = !by_bank_ || request.bank < 0 || request.not_before > 0 || !device.only_wants_row(request.final_command);
  if (item.loose) {
    loose_.push_back(slot);
  } else {
    if (banks_.empty()) banks_.resize(static_cast<std::size_t>(device.spec().banks()));
    row_level_ = static_cast<std::size_t>(device.spec().row_level);
    link_to_bank(slot, request.bank);
  }
  return true;
}

void RequestQueue::remove(int slot) {
  Entry& item = entry(slot);
  (item.previous == kNone ? first_ : entry(item.previous).next) = item.next;
  (item.next == kNone ? last_ : entry(item.next).previous) = item.previous;
  if (item.loose) {
    loose_.erase(std::find(loose_.begin(), loose_.end(), slot));
  } else {
    unlink_from_bank(slot, item.request.bank);
  }
  free_.push_back(slot);
  --size_;
  stale_ = true;  // the earliest ready time may have been its own
}

void RequestQueue::link_to_bank(int slot, int number) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  if (bank.first == kNone) {
    occupied_.push_back(number);
    bank.first = slot;
    bank.hit = bank.other = kNone;
    bank.state_version = 0;
    bank.open = false;
  } else {
    entry(bank.last).bank_next = slot;
    entry(slot).bank_previous = bank.last;
  }
  bank.last = slot;
  bank.stale = true;
  if (int& leader = hits(bank, slot) ? bank.hit : bank.other; leader == kNone) leader = slot;
}

void RequestQueue::unlink_from_bank(int slot, int number) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  const Entry& item = entry(slot);
  (item.bank_previous == kNone ? bank.first : entry(item.bank_previous).bank_next) = item.bank_next;
  (item.bank_next == kNone ? bank.last : entry(item.bank_next).bank_previous) = item.bank_previous;
  if (bank.hit == slot || bank.other == slot) {
    // The next one that wants the same; all before it want something else.
    const bool hit = bank.hit == slot;
    int heir = item.bank_next;
    while (heir != kNone && hits(bank, heir) != hit) heir = entry(heir).bank_next;
    (hit ? bank.hit : bank.other) = heir;
    bank.stale = stale_ = true;
  }
  if (bank.first == kNone) {
    *std::find(occupied_.begin(), occupied_.end(), number) = occupied_.back();
    occupied_.pop_back();
  }
}

bool RequestQueue::older(int a, int b) const {
  const Entry& x = entry(a);
  const Entry& y = entry(b);
  return x.request.arrive != y.request.arrive ? x.request.arrive < y.request.arrive : x.age < y.age;
}

void RequestQueue::evaluate_changed(const Device& device) {
  const bool all = evaluated_version_ != device.version();
  earliest_ready_ = kNever;
  for (const int number : occupied_) {
    Bank& bank = banks_[static_cast<std::size_t>(number)];
    if (all || bank.stale) evaluate_bank(number, device);
    earliest_ready_ = std::min({earliest_ready_, bank.hit_ready, bank.other_ready});
  }
  for (const int slot : loose_) {
    Entry& item = entry(slot);
    if (all || item.next_command < 0) evaluate_loose(item, device);
    earliest_ready_ = std::min(earliest_ready_, item.ready_at);
  }
  evaluated_version_ = device.version();
  stale_ = false;
}

void RequestQueue::evaluate_loose(Entry& item, const Device& device) {
  const Request& request = item.request;
  item.next_command = device.prerequisite(request.final_command, request.address, request.bank);
  item.ready_at = device.ready_at(item.next_command, request.address, request.bank);
  if (item.next_command == request.final_command) item.ready_at = std::max(item.ready_at, request.not_before);
}

void RequestQueue::evaluate_bank(int number, const Device& device) {
  Bank& bank = banks_[static_cast<std::size_t>(number)];
  if (bank.state_version != device.bank_version(number)) find_leaders(bank, number, device);
  const int opening = bank.open ? device.spec().close_one : device.spec().open_one;
  if (bank.stale) {
    if (bank.hit != kNone) entry(bank.hit).next_command = at(bank.hit).final_command;
    if (bank.other != kNone) entry(bank.other).next_command = opening;
    bank.stale = false;
  }
  bank.hit_ready = bank.hit == kNone ? kNever : device.ready_in_bank(at(bank.hit).final_command, number);
  bank.other_ready = bank.other == kNone ? kNever : device.ready_in_bank(opening, number);
}

void RequestQueue::find_leaders(Bank& bank, int number, const Device& device) {
  bank.state_version = device.bank_version(number);
  bank.open = device.row_open(number);
  bank.row = device.open_row(number);
  bank.hit = bank.other = kNone;
  bank.stale = true;
  for (int slot = bank.first; slot != kNone && (bank.other == kNone || (bank.open && bank.hit == kNone)); slot = entry(slot).bank_next) {
    if (int& leader = hits(bank, slot) ? bank.hit : bank.other; leader == kNone) leader = slot;
  }
}

int RequestQueue::find_oldest_ready(Cycle now) const {
  int best = kNone;
  const auto consider = [&](int slot) {
    if (best == kNone || older(slot, best)) best = slot;
  };
  for (const int number : occupied_) {
    const Bank& bank = banks_[static_cast<std::size_t>(number)];
    if (bank.hit_ready <= now) consider(bank.hit);
    if (bank.other_ready <= now) consider(bank.other);
  }
  for (const int slot : loose_) {
    if (entry(slot).ready_at <= now) consider(slot);
  }
  return best;
}

Cycle RequestQueue::find_next_ready(Cycle now) const {
  Cycle next = kNever;
  const auto consider = [&](Cycle ready) {
    if (ready > now) next = std::min(next, ready);
  };
  for (const int number : occupied_) {
    const Bank& bank = banks_[static_cast<std::size_t>(number)];
    consider(bank.hit_ready);
    consider(bank.other_ready);
  }
  for (const int slot : loose_) consider(entry(slot).ready_at);
  return next;
}

}  // namespace moeram
