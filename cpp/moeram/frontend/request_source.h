// Requests in one order for all channels: a trace, or a program that knows its next request without keeping them all.
#pragma once

#include <cstdint>

#include "moeram/controller/request.h"

namespace moeram {

class RequestSource {
 public:
  virtual ~RequestSource() = default;
  virtual bool finished() const = 0;
  // The next request (kind, address, byte_address); not after the end.
  virtual Request next() const = 0;
  // For how many channels the next request stands.
  virtual std::int64_t channels() const { return 1; }
  virtual void advance() = 0;
};

}  // namespace moeram
