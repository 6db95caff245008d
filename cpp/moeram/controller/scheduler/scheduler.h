// Which request of a queue next?
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/controller/queue.h"

namespace moeram {

// The answer is the slot of a request whose next command is ready at `now`, or
// RequestQueue::kNone; only next commands of the given issue bus count. A scheduler may keep state but must not add or remove requests.
class Scheduler {
 public:
  virtual ~Scheduler() = default;
  virtual int choose(RequestQueue& queue, Cycle now, int bus) = 0;
  virtual std::string name() const = 0;
};

std::vector<std::string> scheduler_names();
std::unique_ptr<Scheduler> make_scheduler(const std::string& name);  // throws ConfigError

}  // namespace moeram
