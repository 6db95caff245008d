#include "moeram/system/simulator_run.h"

#include "moeram/system/frontends.h"
#include "moeram/system/queued_run.h"
#include "moeram/system/ramulator_config.h"

namespace moeram {

std::unique_ptr<SimulatorRun> make_simulator_run(const Params& config, bool strict, const std::string& folder) {
  const std::string system = implementation_of(config, "MemorySystem", {"GenericDRAM", "BHDRAMSystem", "PIMDRAM", "AiMDRAM"});
  if (system == "GenericDRAM" || system == "BHDRAMSystem") return std::make_unique<RamulatorRun>(config, strict, folder);
  return std::make_unique<QueuedRun>(config, strict, folder);
}

}  // namespace moeram
