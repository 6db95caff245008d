// First ready, first come, first served: among ready requests the smallest arrival, then the earliest position.
// "Ready" means the next command, whatever it is; row hits have no priority of their own.
#pragma once

#include "moeram/controller/scheduler/scheduler.h"

namespace moeram {

class FrFcfs final : public Scheduler {
 public:
  int choose(RequestQueue& queue, Cycle now, int bus) override { return queue.oldest_ready(now, bus); }
  std::string name() const override { return "FRFCFS"; }
};

}  // namespace moeram
