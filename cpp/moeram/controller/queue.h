// A queue of requests in order of insertion, and which of them may get their next command when.
// Requests that only want a row open in one bank are kept by bank: all that would next get the same command in the same
// bank become ready together, so only the oldest of them is a wish. Wishes for one command below one node of level 1
// form a group that is passed over as a whole while that node is not ready. Timing only ever moves a ready cycle
// later, so a cycle once found is a lower bound: the device is asked again only when it has come.
#pragma once

#include <cstdint>
#include <vector>

#include "moeram/controller/request.h"
#include "moeram/dram/device.h"

namespace moeram {

class RequestQueue {
 public:
  static constexpr int kNone = -1;

  // Ramulator 2.0 lets one request more than the nominal size in. `by_bank` needs arrivals in order of insertion.
  RequestQueue(const Device& device, int nominal_size, bool by_bank);

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ > nominal_size_; }

  // False if full.
  bool push(const Request& request);
  void remove(int slot);

  // The state of this bank changed, or of any bank if it is negative: what requests want next may have changed.
  void state_changed(int bank);

  // Slots from the oldest to the newest; kNone ends.
  int first() const { return first_; }
  int next(int slot) const { return entry(slot).next; }
  Request& newest() { return at(last_); }
  Request& at(int slot) { return slots_[static_cast<std::size_t>(slot)].request; }
  const Request& at(int slot) const { return slots_[static_cast<std::size_t>(slot)].request; }

  // Among requests whose next command is of this bus and ready the smallest arrival, then the oldest.
  int oldest_ready(Cycle now, int bus) { return earliest_ready_ > now ? kNone : find_oldest_ready(now, bus); }
  // No request is ready before this; exact as far as the last oldest_ready() looked.
  Cycle earliest_ready() const { return earliest_ready_; }
  // Lower bound after `now` for requests that the last oldest_ready() found not ready; kNever if there are none.
  Cycle next_ready_after(Cycle now) const { return earliest_ready_ > now ? earliest_ready_ : find_next_ready(now); }
  // Of the oldest request, if the queue is not kept by bank.
  Cycle first_ready_at(Cycle now);
  // Of a request that one of the functions above found ready.
  int next_command(int slot) const { return entry(slot).next_command; }

  // A request to the same bank for which `same` holds, the oldest first; kNone if there is none.
  template <class Same>
  int find_in_bank(const Request& request, Same same) const {
    if (size_ == 0) return kNone;
    if (!by_bank_ || request.bank < 0 || banks_.empty()) {
      for (int slot = first_; slot != kNone; slot = entry(slot).next) {
        if (same(at(slot))) return slot;
      }
      return kNone;
    }
    for (int slot = banks_[static_cast<std::size_t>(request.bank)].first; slot != kNone; slot = entry(slot).bank_next) {
      if (same(at(slot))) return slot;
    }
    for (const auto& wish : loose_) {
      if (same(at(wish.slot))) return wish.slot;
    }
    return kNone;
  }

 private:
  struct Entry {
    Request request;
    int previous = kNone, next = kNone;            // by age
    int bank_previous = kNone, bank_next = kNone;  // by age in the bank
    int next_command = -1;                         // valid once found ready
    std::uint64_t age = 0;
    bool loose = false;
  };
  struct Wish {
    Cycle ready;  // not before
    std::uint64_t age;
    int slot;
    int bank;
  };
  // The oldest request found ready so far.
  struct Oldest {
    int slot = kNone;
    std::uint64_t age = ~std::uint64_t{0};
  };
  // What the requests of a bank can want; of each kind the oldest is the wish.
  enum Kind : int { kHit, kOpen, kClose, kKinds };
  struct Group {
    int command = -1;
    int bus = 0;
    int stride = 1;            // of the ticks in which the command may start
    int node = 0;              // of level 1
    Cycle earliest = kNever;   // no wish is ready before
    std::vector<Wish> wishes;
  };
  struct Leader {
    int slot = kNone;
    int group = 0;
    int place = 0;  // in the group's wishes
  };
  struct Bank {
    int first = kNone, last = kNone;
    Leader hit, other;    // wants the open row; wants the bank opened or closed
    bool open = false;    // its state when the leaders were found
    std::int32_t row = 0;
  };
  // A request without a place in a bank. Unknown command: its state has to be looked at again.
  struct Loose {
    Cycle ready;
    int slot;
    int bank;  // decides alone what comes next; -1: any bank may
    int command;
  };

  Entry& entry(int slot) { return slots_[static_cast<std::size_t>(slot)]; }
  const Entry& entry(int slot) const { return slots_[static_cast<std::size_t>(slot)]; }
  bool older(int a, int b) const;
  int find_oldest_ready(Cycle now, int bus);
  Cycle find_next_ready(Cycle now) const;
  void look_at(Group& group, Cycle now, Oldest& oldest);
  void look_at(Loose& wish, Cycle now);
  bool belongs_to_bank(const Request& request);
  void open_banks(int final_command);
  bool hits(const Bank& bank, int slot) const { return bank.open && at(slot).address[row_level_] == bank.row; }
  void link_to_bank(int slot, int number);
  void unlink_from_bank(int slot, int number);
  void find_leaders(Bank& bank, int number);
  void lead(Bank& bank, int number, int slot);
  void drop(Leader& leader);

  const Device& device_;
  std::size_t row_level_;
  int nominal_size_;
  bool by_bank_;
  int size_ = 0;
  std::vector<Entry> slots_;
  std::vector<int> free_;
  int first_ = kNone, last_ = kNone;
  std::vector<Bank> banks_;    // empty until a request belongs there
  std::vector<Group> groups_;  // [kind][node of level 1]
  int hit_command_ = -1;       // of all requests kept by bank
  int banks_per_node_ = 1;
  std::vector<Loose> loose_;   // oldest first
  std::uint64_t next_age_ = 0;
  Cycle earliest_ready_ = kNever;
};

}  // namespace moeram
