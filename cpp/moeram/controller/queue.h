// A queue of requests in order of insertion, and which of them may get their next command when.
// Requests that only want a row open in one bank are kept by bank: all that would next get the same command in the same
// bank become ready together, so only the oldest of them, their leader, is asked for. Leaders that want one command below
// one node of level 1 form a group that is passed over as a whole while that node is not ready; in it they stand in order
// of age, so that the first one found ready is its answer. Timing only ever moves a ready cycle later, so a cycle once
// found is a lower bound: the device is asked again only when it has come. Leaders of a bank whose state changed are
// looked for when the queue is asked next.
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
    const bool by_bank = by_bank_ && request.bank >= 0 && !banks_.empty();
    if (by_bank) {
      for (int slot = banks_[static_cast<std::size_t>(request.bank)].first; slot != kNone; slot = entry(slot).bank_next) {
        if (same(at(slot))) return slot;
      }
      for (const auto& wish : loose_) {
        if (same(at(wish.slot))) return wish.slot;
      }
      return kNone;
    }
    for (int slot = first_; slot != kNone; slot = entry(slot).next) {
      if (same(at(slot))) return slot;
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
  // The oldest of those that want the same in a bank.
  struct Leader {
    Cycle ready;  // not before
    std::uint64_t age;
    int slot;
    int bank;
  };
  // A request without a place in a bank. Unknown command: its state has to be looked at again.
  struct Loose {
    Cycle ready;  // not before
    int slot;
    int bank;  // decides alone what comes next; -1: any bank may
    int command;
    int bus;
    int stride;
  };
  // What the requests of a bank can want; of each kind the oldest is the wish.
  enum Kind : int { kHit, kOpen, kClose };
  struct Group {
    int command = -1;
    int bus = 0;
    int stride = 1;           // of the ticks in which the command may start
    int node = 0;             // of level 1
    Cycle earliest = kNever;  // no leader is ready before
    std::vector<Leader> leaders;  // oldest first
  };
  struct Bank {
    int first = kNone, last = kNone;
    int hit = kNone, other = kNone;  // leaders: wants the open row; wants the bank opened or closed
    int node = 0;                    // of level 1
    bool stale = false;              // leaders have to be looked for again
    bool open = false;               // its state when the leaders were found
    std::int32_t row = 0;
  };

  Entry& entry(int slot) { return slots_[static_cast<std::size_t>(slot)]; }
  const Entry& entry(int slot) const { return slots_[static_cast<std::size_t>(slot)]; }
  bool older(int a, int b) const;
  int find_oldest_ready(Cycle now, int bus);
  const Leader* find_ready_leader(Group& group, Cycle now, std::uint64_t below_age);
  Cycle find_next_ready(Cycle now) const;
  void look_at(Loose& wish, Cycle now);
  void refresh_leaders();
  bool belongs_to_bank(const Request& request);
  void open_banks(int final_command);
  bool hits(const Bank& bank, int slot) const { return bank.open && at(slot).address[row_level_] == bank.row; }
  void link_to_bank(int slot, int number);
  void unlink_from_bank(int slot, int number);
  void make_stale(Bank& bank, int number);
  void find_leaders(Bank& bank, int number);
  void lead(Bank& bank, int number, int slot);
  void drop(int& slot, Group& group);
  void hand_over(int& slot, int heir, Group& group);
  Group& group_of(const Bank& bank, Kind kind) { return groups_[static_cast<std::size_t>(static_cast<int>(kind) * nodes_ + bank.node)]; }
  Group& group_of_other(const Bank& bank) { return group_of(bank, bank.open ? kClose : kOpen); }

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
  std::vector<int> stale_;     // numbers of banks
  int nodes_ = 1;              // of level 1
  int hit_command_ = -1;       // of all requests kept by bank
  std::vector<Loose> loose_;     // oldest first
  std::uint64_t next_age_ = 0;
  Cycle earliest_ready_ = kNever;
};

}  // namespace moeram
