// The statistics of a memory system as Ramulator 2.0 prints them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "moeram/base/statistics.h"
#include "moeram/dram/energy.h"
#include "moeram/system/memory_config.h"

namespace moeram {

// Of a run that has ended. Standards without the energy model of 2.0 have prices of their commands instead.
struct MemoryEnergy {
  bool by_price = false;
  std::vector<std::vector<RankEnergy>> ranks;  // [channel][rank]; empty without the energy model
};

// Prices of one channel's commands and time, in nJ of one unit of the standard's scope; `by_command`: of each that was issued, too.
void add_command_energy(const Spec& spec, int channel, const std::vector<std::int64_t>& issued, Cycle ticks, bool by_command, Component& dram);

Component describe_memory(const MemoryFamily& family, const MemorySystem& memory, const std::string& scheduler, const MemoryEnergy& energy);

// By interface name, plug-ins by "ControllerPlugin <position>": the ids that a configuration gives its components.
using ComponentIds = std::map<std::string, std::string>;
ComponentIds read_ids(const Params& config, const MemoryFamily& family, bool has_cores);
void add_ids(const ComponentIds& ids, Component& component, int plugin = -1);

}  // namespace moeram
