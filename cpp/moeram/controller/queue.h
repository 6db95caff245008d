// A queue of requests in order of insertion with removal anywhere, and beside each request what the device
// last said of it: the next command and the cycle from which it may be issued.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "moeram/controller/request.h"
#include "moeram/dram/device.h"

namespace moeram {

class RequestQueue {
 public:
  // Ramulator 2.0 lets one request more than the nominal size in.
  explicit RequestQueue(int nominal_size) : nominal_size_(nominal_size) {}

  int size() const { return static_cast<int>(order_.size()); }
  bool empty() const { return order_.empty(); }
  bool full() const { return size() > nominal_size_; }
  int nominal_size() const { return nominal_size_; }

  // False if full. By value: the request may stand in this very queue.
  bool push(Request request) {
    if (full()) return false;
    if (free_.empty()) {
      free_.push_back(static_cast<int>(slots_.size()));
      slots_.emplace_back();
    }
    const int slot = free_.back();
    free_.pop_back();
    slots_[static_cast<std::size_t>(slot)] = {request, -1, 0};
    order_.push_back(slot);
    ++unevaluated_;
    return true;
  }

  // Positions count from the oldest.
  Request& at(int position) { return entry(position).request; }
  const Request& at(int position) const { return entry(position).request; }
  int next_command(int position) const { return entry(position).next_command; }
  Cycle ready_at(int position) const { return entry(position).ready_at; }

  void remove(int position) {
    free_.push_back(order_[static_cast<std::size_t>(position)]);
    order_.erase(order_.begin() + position);
  }

  // Ask the device again about every request if it changed since, else only about those that came since.
  void evaluate(const Device& device) {
    const int first = evaluated_version_ == device.version() ? std::max(0, size() - unevaluated_) : 0;
    for (int position = first; position < size(); ++position) {
      Entry& item = entry(position);
      const Request& request = item.request;
      item.next_command = device.prerequisite(request.final_command, request.address, request.bank);
      item.ready_at = device.ready_at(item.next_command, request.address, request.bank);
      if (item.next_command == request.final_command) item.ready_at = std::max(item.ready_at, request.not_before);
    }
    evaluated_version_ = device.version();
    unevaluated_ = 0;
  }

  // Earliest ready cycle after `now`; kNever if there is none.
  Cycle next_ready_after(Cycle now) const {
    Cycle next = kNever;
    for (const int slot : order_) {
      const Cycle ready = slots_[static_cast<std::size_t>(slot)].ready_at;
      if (ready > now) next = std::min(next, ready);
    }
    return next;
  }

 private:
  struct Entry {
    Request request;
    int next_command = -1;
    Cycle ready_at = 0;
  };
  Entry& entry(int position) { return slots_[static_cast<std::size_t>(order_[static_cast<std::size_t>(position)])]; }
  const Entry& entry(int position) const { return slots_[static_cast<std::size_t>(order_[static_cast<std::size_t>(position)])]; }

  int nominal_size_;
  std::vector<Entry> slots_;
  std::vector<int> order_;
  std::vector<int> free_;
  std::uint64_t evaluated_version_ = 0;
  int unevaluated_ = 0;  // pushed at the end since the last evaluation; may count removed ones too
};

}  // namespace moeram
