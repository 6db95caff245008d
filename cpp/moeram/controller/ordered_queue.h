// A queue whose requests are served strictly in order, so that only the oldest is ever asked for.
#pragma once

#include "moeram/base/ring.h"
#include "moeram/controller/wish.h"

namespace moeram {

class OrderedQueue {
 public:
  // As in Ramulator 2.0 one request more than the nominal size is let in.
  OrderedQueue(const Device& device, int nominal_size) : device_(device), nominal_size_(nominal_size) {}

  int size() const { return static_cast<int>(requests_.size()); }
  bool empty() const { return requests_.empty(); }
  Request& front() { return requests_.front(); }

  // False if full.
  bool push(const Request& request) {
    if (size() > nominal_size_) return false;
    if (empty()) first_ = Wish::of(request, device_);
    requests_.push_back(request);
    return true;
  }
  void pop_front() {
    requests_.pop_front();
    if (!empty()) first_ = Wish::of(front(), device_);
  }

  void state_changed(int bank) { first_.state_changed(bank); }

  // Of the oldest request; a lower bound if it lies after `now`.
  Cycle ready_at(Cycle now) {
    if (first_.ready <= now) first_.look_at(front(), device_, now);
    return first_.ready;
  }
  // After ready_at().
  int next_command() const { return first_.command; }
  int next_bus() const { return first_.bus; }

  // From the oldest to the newest.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < requests_.size(); ++i) visit(requests_[i]);
  }

 private:
  const Device& device_;
  int nominal_size_;
  Ring<Request> requests_;
  Wish first_;
};

}  // namespace moeram
