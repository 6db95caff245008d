// A queue of requests in order of insertion, and what the device last said of them: the next command of each and the
// cycle from which it may be issued. Requests that only want a row open in one bank are kept by bank: all that would
// next get the same command in the same bank become ready together, so only the oldest of them is looked at.
#pragma once

#include <cstdint>
#include <vector>

#include "moeram/controller/request.h"
#include "moeram/dram/device.h"

namespace moeram {

class RequestQueue {
 public:
  static constexpr int kNone = -1;

  // Ramulator 2.0 lets one request more than the nominal size in. `by_bank` needs requests of one kind only.
  RequestQueue(int nominal_size, bool by_bank) : nominal_size_(nominal_size), by_bank_(by_bank) {}

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ > nominal_size_; }

  // False if full. By value: the request may stand in this very queue.
  bool push(Request request, const Device& device);
  void remove(int slot);

  // Slots from the oldest to the newest; kNone ends.
  int first() const { return first_; }
  int next(int slot) const { return entry(slot).next; }
  Request& at(int slot) { return slots_[static_cast<std::size_t>(slot)].request; }
  const Request& at(int slot) const { return slots_[static_cast<std::size_t>(slot)].request; }

  // Ask the device again about whatever may have changed.
  void evaluate(const Device& device) {
    if (evaluated_version_ != device.version() || stale_) evaluate_changed(device);
  }
  // Of the last evaluation: among ready requests the smallest arrival, then the oldest.
  int oldest_ready(Cycle now) const { return earliest_ready_ > now ? kNone : find_oldest_ready(now); }
  // A request to the same bank for which `same` holds, the oldest first; kNone if there is none.
  template <class Same>
  int find_in_bank(const Request& request, Same same) const {
    if (!by_bank_ || request.bank < 0 || banks_.empty()) {
      for (int slot = first_; slot != kNone; slot = entry(slot).next) {
        if (same(at(slot))) return slot;
      }
      return kNone;
    }
    for (int slot = banks_[static_cast<std::size_t>(request.bank)].first; slot != kNone; slot = entry(slot).bank_next) {
      if (same(at(slot))) return slot;
    }
    for (const int slot : loose_) {
      if (same(at(slot))) return slot;
    }
    return kNone;
  }
  int next_command(int slot) const { return entry(slot).next_command; }
  // Of the oldest request, if the queue is not kept by bank.
  Cycle first_ready_at() const { return entry(first_).ready_at; }
  // Earliest ready cycle after `now`; kNever if there is none.
  Cycle next_ready_after(Cycle now) const { return earliest_ready_ > now ? earliest_ready_ : find_next_ready(now); }

 private:
  struct Entry {
    Request request;
    int previous = kNone, next = kNone;            // by age
    int bank_previous = kNone, bank_next = kNone;  // by age in the bank
    int next_command = -1;                         // valid for leaders and loose entries
    Cycle ready_at = 0;                            // valid for loose entries
    std::uint64_t age = 0;
    bool loose = false;
  };
  // The oldest request of each kind of wish in a bank: `hit` wants the open row, `other` the bank opened or closed.
  struct Bank {
    int first = kNone, last = kNone;
    int hit = kNone, other = kNone;
    Cycle hit_ready = kNever, other_ready = kNever;  // kNever where nobody leads
    std::uint64_t state_version = 0;  // of the bank when the leaders were found
    bool open = false;                // its state then
    std::int32_t row = 0;
    bool stale = false;
  };

  Entry& entry(int slot) { return slots_[static_cast<std::size_t>(slot)]; }
  const Entry& entry(int slot) const { return slots_[static_cast<std::size_t>(slot)]; }
  bool older(int a, int b) const;
  int find_oldest_ready(Cycle now) const;
  Cycle find_next_ready(Cycle now) const;
  void evaluate_changed(const Device& device);
  void evaluate_loose(Entry& item, const Device& device);
  void evaluate_bank(int number, const Device& device);
  void find_leaders(Bank& bank, int number, const Device& device);
  bool hits(const Bank& bank, int slot) const { return bank.open && at(slot).address[row_level_] == bank.row; }
  void link_to_bank(int slot, int number);
  void unlink_from_bank(int slot, int number);

  int nominal_size_;
  bool by_bank_;
  int size_ = 0;
  std::vector<Entry> slots_;
  std::vector<int> free_;
  int first_ = kNone, last_ = kNone;
  std::vector<Bank> banks_;
  std::vector<int> occupied_;  // banks with requests
  std::vector<int> loose_;     // slots without a place in a bank, oldest first
  std::uint64_t next_age_ = 0;
  std::uint64_t evaluated_version_ = 0;
  bool stale_ = false;
  Cycle earliest_ready_ = kNever;  // of the last evaluation
  std::size_t row_level_ = 0;
};

}  // namespace moeram
