// What makes requests, one clock tick at a time.
#pragma once

#include <cstdint>
#include <string>

#include "moeram/controller/request.h"

namespace moeram {

// The memory system as a front end sees it.
class RequestTarget {
 public:
  virtual ~RequestTarget() = default;
  // False: refused, offer it again.
  virtual bool send(int kind, std::int64_t byte_address, int source) = 0;
  virtual void refuse_again(int kind, std::int64_t byte_address, std::int64_t times) = 0;
  // Changes whenever a refused request might be accepted now.
  virtual std::uint64_t version() const = 0;
};

class FrontEnd {
 public:
  virtual ~FrontEnd() = default;
  virtual void tick(RequestTarget& memory) = 0;
  virtual bool finished() const = 0;
  // True if the coming ticks only offer again what is refused, as long as the memory's version stays.
  virtual bool blocked(const RequestTarget& memory) const = 0;
  // Let `ticks` such ticks pass.
  virtual void pass(RequestTarget& memory, std::int64_t ticks) = 0;
  virtual std::string name() const = 0;
};

}  // namespace moeram
