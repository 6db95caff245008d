#include "moeram/controller/run_queue.h"

#include <algorithm>

namespace moeram {
namespace {

// A column number is no part of a wish.
bool same_wish(const Request& a, const Request& b, int column_level) {
  return a.kind == b.kind && a.bank == b.bank && std::equal(a.address.begin(), a.address.begin() + column_level, b.address.begin());
}

}  // namespace

void RunQueue::push(const Request& request, int count, bool free) {
  int slot = static_cast<int>(slots_.size());
  if (unused_.empty()) {
    slots_.push_back({request, count, -1});
  } else {
    slot = unused_.back();
    unused_.pop_back();
    slots_[static_cast<std::size_t>(slot)] = {request, count, -1};
  }
  size_ += count;
  if (!runs_.empty() && !free && !runs_.back().free) {
    Run& last = runs_.back();
    Slot& before = slots_[static_cast<std::size_t>(last.last)];
    if (before.request.arrive <= request.arrive && same_wish(before.request, request, column_level_)) {
      before.next = slot;
      last.last = slot;
      return;
    }
  }
  Run run;
  run.first = run.last = slot;
  run.kind = request.kind;
  run.final_command = request.final_command;
  run.bank = request.bank;
  run.free = free;
  runs_.push_back(run);
}

void RunQueue::pop_front(std::size_t number, int count) {
  Run& run = runs_[number];
  const int slot = run.first;
  Slot& first = slots_[static_cast<std::size_t>(slot)];
  if (first.count > count) {
    first.count -= count;
    first.request.address[static_cast<std::size_t>(column_level_)] += count;
    first.request.first_command = -1;
    size_ -= count;
    return;
  }
  run.first = slots_[static_cast<std::size_t>(slot)].next;
  unused_.push_back(slot);
  size_ -= count;
  if (run.first < 0) runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(number));
}

void RunQueue::evaluate(Run& run, const Device& device, std::uint64_t version, std::uint64_t state_version) {
  run.version = version;
  if (run.free) {
    run.next_command = run.final_command;
    run.ready_at = 0;
    return;
  }
  const Address& address = slots_[static_cast<std::size_t>(run.first)].request.address;
  if (run.state_version != state_version) {
    run.state_version = state_version;
    run.next_command = device.prerequisite(run.final_command, address, run.bank);
    run.is_done = device.has_opened(run.final_command, address);
  }
  run.ready_at = run.is_done ? 0 : device.ready_at(run.next_command, address, run.bank);
}

}  // namespace moeram
