// Streams as moeram-sim runs them: `Frontend: {impl: Stream, streams: [...]}` over a memory system of Ramulator 2.0.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/system/simulator_run.h"
#include "moeram/system/stream_run.h"

namespace moeram {

class StreamSimulation : public SimulatorRun {
 public:
  StreamSimulation(const Params& config, bool strict, const std::string& folder);
  using SimulatorRun::run;
  using SimulatorRun::statistics;
  void run(bool skip, Cycle most_cycles) override;
  std::string statistics(bool lists) const override;
  double folded_share() const override;
  const std::vector<std::string>& warnings() const override { return warnings_; }

 private:
  void read_memory(const Params& config, const std::string& folder);
  void read_streams(const Params& frontend);

  std::shared_ptr<const Spec> spec_;
  StreamConfig config_;
  std::vector<Stream> streams_;
  StreamRunResult result_;
  std::vector<std::string> warnings_;
};

}  // namespace moeram
