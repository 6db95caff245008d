#include "moeram/system/simulator_run.h"

#include "moeram/system/frontends.h"
#include "moeram/system/queued_run.h"
#include "moeram/system/ramulator_config.h"
#include "moeram/system/stream_simulation.h"

namespace moeram {

std::unique_ptr<SimulatorRun> make_simulator_run(const Params& config, bool strict, const std::string& folder) {
  const std::string system = implementation_of(config, "MemorySystem", {"GenericDRAM", "BHDRAMSystem", "PIMDRAM", "AiMDRAM"});
  const auto frontend = config.optional_child("Frontend");
  if (system == "GenericDRAM" && frontend && frontend->is_map() && frontend->text("impl", "") == "Stream") return std::make_unique<StreamSimulation>(config, strict, folder);
  if (system == "GenericDRAM" || system == "BHDRAMSystem") return std::make_unique<RamulatorRun>(config, strict, folder);
  return std::make_unique<QueuedRun>(config, strict, folder);
}

}  // namespace moeram
