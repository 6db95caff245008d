// Ramulator 2.0's YAML in, Ramulator 2.0's statistics out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/base/statistics.h"
#include "moeram/frontend/frontend.h"
#include "moeram/system/report.h"
#include "moeram/system/simulator_run.h"

namespace moeram {

class RamulatorRun : public SimulatorRun {
 public:
  // Builds everything; every complaint about the configuration is raised here, before anything runs. Keys that 2.0
  // accepts but ignores where they stand become warnings, or errors if `strict`; any other unknown key is an error.
  // Relative paths in it count from `folder`, or from the working directory if that is empty.
  RamulatorRun(const Params& config, bool strict, const std::string& folder = "");

  using SimulatorRun::run;
  void run(bool skip, Cycle most_cycles) override;
  double folded_share() const override;
  // For hosts, which tick themselves: what run() does at the end.
  void finish();

  // Both documents as 2.0 prints them.
  using SimulatorRun::statistics;
  std::string statistics(bool lists) const override;
  const std::vector<std::string>& warnings() const override { return warnings_; }
  const MemorySystem& memory() const { return *memory_; }
  MemorySystem& memory() { return *memory_; }
  FrontEnd& frontend() { return *frontend_; }

 private:
  bool play(bool skip);
  Params config_;
  bool strict_;
  std::string folder_;
  const MemoryFamily* family_;
  std::unique_ptr<FrontEnd> frontend_;
  std::unique_ptr<MemorySystem> memory_;
  std::string scheduler_;
  ClockRatio ratio_;
  ComponentIds ids_;
  std::vector<std::string> warnings_;
  MemoryEnergy energy_;
  bool folds_ = false;
  std::int64_t folded_ = 0;
};

}  // namespace moeram
