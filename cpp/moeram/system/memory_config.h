// The memory system of a configuration in Ramulator 2.0's syntax.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/system/config_reading.h"
#include "moeram/system/memory_system.h"

namespace moeram {

// The names under which 2.0's memory systems hold the parts that are alike.
struct MemoryFamily {
  std::string implementation;         // "GenericDRAM"
  std::string controller_key;         // interface, also the key in the configuration
  std::string controller;             // implementation
  std::string scheduler_key;
  std::vector<std::string> schedulers;
  bool counts_per_command = false;    // row statistics of BHDRAMController instead of those of Generic
};

struct MemoryPlan {
  const MemoryFamily* family = nullptr;
  std::int64_t clock_ratio = 1;
  std::unique_ptr<MemorySystem> memory;
  Params controller;                  // its map, for the plug-ins
  std::string scheduler;              // as named in the configuration
  bool price_commands = false;        // the energy of commands is wanted, of a standard without 2.0's energy model
  std::vector<std::string> warnings;
};

const MemoryFamily& memory_family(const Params& config);

// The device of a map `DRAM`; `price_commands`: its energy is wanted, and it has no model of 2.0's for that.
std::shared_ptr<const Spec> resolve_dram(const Params& dram, bool& price_commands);
ControllerOptions read_controller(const Params& controller, const MemoryFamily& family, int cores, const std::string& folder);

// Builds everything but the plug-ins. Throws ConfigError naming file, line and key.
MemoryPlan build_memory(const Params& config, const MemoryFamily& family, int cores, const std::string& folder);

}  // namespace moeram
