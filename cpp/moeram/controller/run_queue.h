// A queue in order of insertion that keeps neighbours with the same wish (kind, bank, row) as one run: they need the same next
// command at the same cycle, so a choice looks at one entry a run. A stream over a row costs as much as one request.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "moeram/controller/request.h"
#include "moeram/dram/device.h"

namespace moeram {

class RunQueue {
 public:
  struct Run {
    int first = 0, last = 0;      // slots
    int kind = -1;
    int final_command = -1;
    int bank = -1;
    int next_command = -1;        // these three: of the last evaluation
    Cycle ready_at = 0;
    std::uint64_t state_version = 0, version = 0;
    bool free = false;            // needs no command: fences and markers
    bool is_done = false;         // asks for rows that are open already; of the last evaluation
    bool due() const { return next_command == final_command; }
  };

  RunQueue(int capacity, int column_level) : capacity_(capacity), column_level_(column_level) {}

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ > capacity_; }  // one more than the capacity is let in
  // `free`: ready at any time, with no command before it.
  void push(const Request& request, bool free) { push(request, 1, free); }
  // `count` requests for as many columns from the given one on.
  void push(const Request& request, int count, bool free);
  // So many more such requests behind the last; only after a push of several with nothing pushed since.
  void extend_last(int count) {
    slots_[static_cast<std::size_t>(runs_.back().last)].count += count;
    size_ += count;
  }
  // The column behind the last request's.
  std::int32_t next_column() const {
    const Slot& last = slots_[static_cast<std::size_t>(runs_.back().last)];
    return last.request.address[static_cast<std::size_t>(column_level_)] + last.count;
  }
  // How many requests stand in the first slot of a run.
  int front_count(std::size_t run) const { return slots_[static_cast<std::size_t>(runs_[run].first)].count; }
  int room() const { return std::max(capacity_ + 1 - size_, 0); }
  Request& front(std::size_t run) { return slots_[static_cast<std::size_t>(runs_[run].first)].request; }
  const Request& front(std::size_t run) const { return slots_[static_cast<std::size_t>(runs_[run].first)].request; }
  void pop_front(std::size_t run) { pop_front(run, 1); }
  // `count` at once, no more than stand in its first slot.
  void pop_front(std::size_t run, int count);

  std::vector<Run>& runs() { return runs_; }
  const std::vector<Run>& runs() const { return runs_; }
  // Ask the device again about what may have changed. `version` counts the commands issued on it, `state_version` those that changed
  // the state of banks; both begin with 1.
  void evaluate(const Device& device, std::uint64_t version, std::uint64_t state_version) {
    for (Run& run : runs_) {
      if (run.version != version) evaluate(run, device, version, state_version);
    }
  }
  // The same of one run.
  void evaluate(std::size_t run, const Device& device, std::uint64_t version, std::uint64_t state_version) {
    if (runs_[run].version != version) evaluate(runs_[run], device, version, state_version);
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for_each_slot([&](const Request& request, int) { visit(request); });
  }
  // With the number of requests in the slot, for as many columns from the visited one's on.
  template <class Visit>
  void for_each_slot(Visit visit) const {
    for (const Run& run : runs_) {
      for (int slot = run.first; slot >= 0; slot = slots_[static_cast<std::size_t>(slot)].next) {
        visit(slots_[static_cast<std::size_t>(slot)].request, slots_[static_cast<std::size_t>(slot)].count);
      }
    }
  }

 private:
  struct Slot {
    Request request;
    int count = 1;  // requests for as many columns, from the request's on
    int next = -1;  // in its run
  };
  void evaluate(Run& run, const Device& device, std::uint64_t version, std::uint64_t state_version);

  int capacity_;
  int column_level_;
  int size_ = 0;
  std::vector<Slot> slots_;
  std::vector<int> unused_;
  std::vector<Run> runs_;
};

}  // namespace moeram
