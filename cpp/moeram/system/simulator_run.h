// One simulation from a configuration in a reference simulator's own syntax.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"

namespace moeram {

class SimulatorRun {
 public:
  virtual ~SimulatorRun() = default;
  // `skip`: jump over cycles in which nothing happens; never changes a result.
  virtual void run(bool skip) = 0;
  virtual std::string statistics() const = 0;  // after run()
  virtual const std::vector<std::string>& warnings() const = 0;
};

// By MemorySystem.impl: GenericDRAM and BHDRAMSystem are Ramulator 2.0 (with Frontend.impl Stream: streams), PIMDRAM the AttAcc simulator, AiMDRAM the AiM simulator. Every complaint
// about the configuration is raised here, before anything runs. Paths count from `folder` ("": the working directory).
std::unique_ptr<SimulatorRun> make_simulator_run(const Params& config, bool strict, const std::string& folder = "");

}  // namespace moeram
