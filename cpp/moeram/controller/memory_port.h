// What sends requests to a controller sees of it.
#pragma once

#include "moeram/controller/request.h"

namespace moeram {

class MemoryPort {
 public:
  virtual ~MemoryPort() = default;

  // False: refused, offer it again. The request's kind, address (and byte address, if it has one) must be set.
  virtual bool send(Request request) = 0;

  // Ahead of all normal traffic, strictly in order. False: refused.
  virtual bool send_first(Request request) = 0;

  // Account for `times` further offers of a request that was just refused; nothing else happens.
  virtual void refuse_again(const Request& request, std::int64_t times) = 0;
};

}  // namespace moeram
