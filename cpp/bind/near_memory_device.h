// A near-memory chip as Python holds it: the config and the device that it resolves to.
#pragma once

#include "moeram/system/near_memory_run.h"

namespace moeram::bind {

struct NearMemoryDevice {
  NearMemoryConfig config;
  Spec spec;
};

}  // namespace moeram::bind
