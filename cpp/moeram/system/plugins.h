// The controller plug-ins of a configuration.
#pragma once

#include <string>

#include "moeram/base/params.h"
#include "moeram/system/memory_system.h"

namespace moeram {

// Read and check the list `plugins`; nothing is made yet. Throws ConfigError naming file, line and key.
void check_plugins(const Params& controller, const Spec& spec);

// Add them to every channel. Some of them make files: call it once everything else was found in order.
void add_plugins(const Params& controller, MemorySystem& memory, const std::string& folder);

}  // namespace moeram
