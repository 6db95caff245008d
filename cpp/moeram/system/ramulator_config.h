// Ramulator 2.0's YAML in, Ramulator 2.0's statistics out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/base/statistics.h"
#include "moeram/frontend/frontend.h"
#include "moeram/system/memory_system.h"
#include "moeram/system/simulator_run.h"

namespace moeram {

class RamulatorRun : public SimulatorRun {
 public:
  // Builds everything; every complaint about the configuration is raised here, before anything runs. Keys that 2.0
  // accepts but ignores where they stand become warnings, or errors if `strict`; any other unknown key is an error.
  // Relative paths in it count from `folder`, or from the working directory if that is empty.
  RamulatorRun(const Params& config, bool strict, const std::string& folder = "");

  void run(bool skip = true) override;
  std::string statistics() const override;  // both documents, as 2.0 prints them
  const std::vector<std::string>& warnings() const override { return warnings_; }
  const MemorySystem& memory() const { return *memory_; }

 private:
  void build_memory(const Params& config, int cores);
  void open_listeners(const Params& controller);
  Component describe_memory() const;
  Component describe_channel(const Controller& controller) const;
  Component describe_dram() const;
  void add_command_energy(Component& dram) const;
  void add_rank(const RankEnergy& rank, const std::string& suffix, RankEnergy& sum, Component& dram) const;

  std::string folder_;
  std::unique_ptr<FrontEnd> frontend_;
  std::unique_ptr<MemorySystem> memory_;
  ClockRatio ratio_;
  std::vector<std::string> warnings_;
  std::vector<std::vector<RankEnergy>> energy_;  // [channel][rank], filled at the end of a run with the energy model on
  bool price_commands_ = false;  // asked for, and the standard has prices instead of 2.0's model
};

}  // namespace moeram
