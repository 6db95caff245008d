#include "moeram/controller/scheduler/scheduler.h"

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/controller/scheduler/frfcfs.h"

namespace moeram {

std::vector<std::string> scheduler_names() { return {"FRFCFS"}; }

std::unique_ptr<Scheduler> make_scheduler(const std::string& name) {
  if (name == "FRFCFS") return std::make_unique<FrFcfs>();
  throw ConfigError("Scheduler '" + name + "' is unknown" + did_you_mean(name, scheduler_names()));
}

}  // namespace moeram
