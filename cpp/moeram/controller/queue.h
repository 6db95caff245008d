// A queue of requests in order of insertion, and which of them may get their next command when.
// A request stands in a place; places are given in order of insertion, so that a set of requests is a word of 64 bits and
// its oldest the lowest bit.
// Requests that only want a row open in one bank are kept by bank: all that would next get the same command in the same
// bank become ready together, so only the oldest of them, their leader, is asked for. Leaders that want one command below
// one node of level 1 form a group that is passed over as a whole while that node is not ready. Timing only ever moves a
// ready cycle later, so a cycle once found is a lower bound: the device is asked again only when it has come. Leaders of
// a bank whose state changed are looked for when the queue is asked next.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "moeram/controller/wish.h"

namespace moeram {

class RequestQueue {
 public:
  static constexpr int kNone = -1;

  // Ramulator 2.0 lets one request more than the nominal size in, here 64 in all at most. `by_bank` needs arrivals in order
  // of insertion.
  RequestQueue(const Device& device, int nominal_size, bool by_bank);

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ > nominal_size_; }

  // False if full.
  bool push(const Request& request);
  void remove(int slot);

  // The state of this bank changed, or of any bank if it is negative: what requests want next may have changed.
  void state_changed(int bank);

  // From the oldest to the newest.
  template <class Visit>
  void for_each(Visit visit) const {
    for_each(all_, [&](int slot) { visit(at(slot)); });
  }

  // Slots from the oldest to the newest; kNone ends. They are valid until the next push.
  int first() const { return oldest_of(all_); }
  int next(int slot) const { return oldest_of(all_ & ~(bit(slot) | (bit(slot) - 1))); }
  Request& newest() { return at(kPlaces - 1 - std::countl_zero(all_)); }
  Request& at(int slot) { return requests_[static_cast<std::size_t>(slot)]; }
  const Request& at(int slot) const { return requests_[static_cast<std::size_t>(slot)]; }

  // Among requests whose next command is of this bus and ready the smallest arrival, then the oldest.
  int oldest_ready(Cycle now, int bus) { return earliest_ready_ > now ? kNone : find_oldest_ready(now, bus); }
  // No request is ready before this; exact as far as the last oldest_ready() looked.
  Cycle earliest_ready() const { return earliest_ready_; }
  // Lower bound after `now` for requests that the last oldest_ready() found not ready; kNever if there are none.
  Cycle next_ready_after(Cycle now) const { return earliest_ready_ > now ? earliest_ready_ : find_next_ready(now); }
  // Of a request that oldest_ready() found.
  int next_command(int slot) const { return wish(slot).command; }

  // A request to the same bank for which `same` holds, the oldest first; kNone if there is none.
  template <class Same>
  int find_in_bank(const Request& request, Same same) const {
    if (size_ == 0) return kNone;
    const bool by_bank = by_bank_ && request.bank >= 0 && !banks_.empty();
    if (!by_bank) return find(all_, same);
    const int slot = find(banks_[static_cast<std::size_t>(request.bank)].all, same);
    return slot != kNone ? slot : find(loose_, same);
  }

 private:
  using Places = std::uint64_t;
  static constexpr int kPlaces = 64;
  // What the requests of a bank can want; of each kind the oldest is the leader.
  enum Kind : int { kHit, kOpen, kClose };
  struct Group {
    Cycle earliest = kNever;  // no leader is ready before
    Places leaders = 0;
    int command = -1;
    int bus = 0;
    int stride = 1;
    int node = 0;  // of level 1
  };
  struct Bank {
    Places all = 0;
    int hit = kNone, other = kNone;  // leaders: wants the open row; wants the bank opened or closed
    int node = 0;                    // of level 1
    std::int32_t row = 0;            // its state when the leaders were found
    bool open = false;
    bool stale = false;  // leaders have to be looked for again
  };

  static Places bit(int place) { return Places{1} << place; }
  static int oldest_of(Places places) { return places == 0 ? kNone : std::countr_zero(places); }
  template <class Visit>
  static void for_each(Places places, Visit visit) {
    for (; places != 0; places &= places - 1) visit(std::countr_zero(places));
  }
  template <class Same>
  int find(Places places, Same same) const {
    for (; places != 0; places &= places - 1) {
      if (same(at(std::countr_zero(places)))) return std::countr_zero(places);
    }
    return kNone;
  }

  Wish& wish(int slot) { return wishes_[static_cast<std::size_t>(slot)]; }
  const Wish& wish(int slot) const { return wishes_[static_cast<std::size_t>(slot)]; }
  int find_oldest_ready(Cycle now, int bus);
  Cycle find_earliest_ready(Cycle now, int bus);
  Places ask_groups(Cycle now, int bus);
  int oldest_ready_of(Places leaders, Cycle now);
  int oldest_ready_of_loose(int best, Cycle now, int bus);
  Cycle earliest_of(const Group& group) const;
  Cycle find_next_ready(Cycle now) const;
  void refresh_leaders();
  void move_together();
  bool belongs_to_bank(const Request& request);
  void open_banks(int final_command);
  bool hits(const Bank& bank, int slot) const { return bank.open && at(slot).address[row_level_] == bank.row; }
  void link_to_bank(int slot, int number);
  void unlink_from_bank(int slot, int number);
  void make_stale(Bank& bank, int number);
  void find_leaders(Bank& bank, int number);
  void lead(Bank& bank, int number, int slot, bool hit);
  void drop(int& slot, Group& group);
  void hand_over(Bank& bank, int heir);
  Group& group_of(const Bank& bank, Kind kind) { return groups_[static_cast<std::size_t>(static_cast<int>(kind) * nodes_ + bank.node)]; }
  Group& group_of_other(const Bank& bank) { return group_of(bank, bank.open ? kClose : kOpen); }

  const Device& device_;
  std::size_t row_level_;
  int nominal_size_;
  bool by_bank_;
  int size_ = 0;
  int next_place_ = 0;
  Places all_ = 0;
  Places loose_ = 0;  // not kept by bank
  Cycle earliest_ready_ = kNever;
  int nodes_ = 1;         // of level 1
  int hit_command_ = -1;  // of all requests kept by bank
  std::vector<Group> groups_;  // [kind][node of level 1]
  std::vector<Bank> banks_;    // empty until a request belongs there
  std::vector<int> stale_;     // numbers of banks
  std::array<Wish, kPlaces> wishes_;  // of leaders and loose requests
  std::array<Request, kPlaces> requests_;
};

}  // namespace moeram
