// First ready, first come, first served: among ready requests the smallest arrival, then the earliest position.
// "Ready" means the next command, whatever it is; row hits have no priority of their own.
#pragma once

#include "moeram/controller/scheduler/scheduler.h"

namespace moeram {

class FrFcfs : public Scheduler {
 public:
  int choose(const RequestQueue& queue, Cycle now) override {
    int best = -1;
    for (int i = 0; i < queue.size(); ++i) {
      if (queue.ready_at(i) > now) continue;
      if (best < 0 || queue.at(i).arrive < queue.at(best).arrive) best = i;
    }
    return best;
  }
  std::string name() const override { return "FRFCFS"; }
};

}  // namespace moeram
