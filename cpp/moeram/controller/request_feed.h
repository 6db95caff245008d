// Ordinary requests of one channel beside what its front end sends: the controller takes the next one itself, one a tick at most, as
// soon as it is due and there is room.
#pragma once

#include <vector>

#include "moeram/controller/request.h"

namespace moeram {

class RequestFeed {
 public:
  virtual ~RequestFeed() = default;
  virtual bool finished() const = 0;
  virtual std::int64_t taken() const = 0;  // requests so far
  // Of the next request, not after the end: the first cycle in which it may be taken, its kind, and itself.
  virtual Cycle due() const = 0;
  virtual int kind() const = 0;
  virtual Request next() const = 0;
  // It was taken.
  virtual void advance(Cycle now) = 0;
  // What is to come, relative to `now`; equal for two feeds that will offer the same.
  virtual void canonical(Cycle now, std::vector<std::int64_t>& out) const = 0;
};

}  // namespace moeram
