// A near-memory chip as Python holds it: the config and the device that it resolves to.
#pragma once

#include <memory>

#include "moeram/system/near_memory_run.h"

namespace moeram::bind {

struct NearMemoryDevice {
  NearMemoryConfig config;
  Spec spec;
  std::shared_ptr<ExpertMemo> experts = std::make_shared<ExpertMemo>();
};

}  // namespace moeram::bind
