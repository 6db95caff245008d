// One simulation from a configuration in a reference simulator's own syntax.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/base/types.h"

namespace moeram {

class SimulatorRun {
 public:
  virtual ~SimulatorRun() = default;
  // `skip`: jump over cycles in which nothing happens; never changes a result.
  // EngineError once the memory has made `most_cycles`, ConfigError where that cannot be told.
  virtual void run(bool skip, Cycle most_cycles) = 0;
  void run(bool skip = true) { run(skip, kNever); }
  // After run(). `lists`: components of the same name as one list, so that no key stands twice.
  virtual std::string statistics(bool lists) const = 0;
  std::string statistics() const { return statistics(false); }
  // How much of a front end's requests was not simulated but taken as repetitions of others, which changes no statistic.
  virtual double folded_share() const { return 0; }
  virtual const std::vector<std::string>& warnings() const = 0;
};

// By MemorySystem.impl: GenericDRAM and BHDRAMSystem are Ramulator 2.0 (with Frontend.impl Stream: streams), PIMDRAM the AttAcc simulator, AiMDRAM the AiM simulator. Every complaint
// about the configuration is raised here, before anything runs. Paths count from `folder` ("": the working directory).
std::unique_ptr<SimulatorRun> make_simulator_run(const Params& config, bool strict, const std::string& folder = "");

}  // namespace moeram
