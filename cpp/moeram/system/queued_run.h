// The simulators that defined AttAcc's HBM3-PIM and SK hynix' AiM: their configurations and traces in, their statistics out.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/statistics.h"
#include "moeram/dram/standard.h"
#include "moeram/frontend/instruction_trace.h"
#include "moeram/frontend/program_check.h"
#include "moeram/frontend/request_source.h"
#include "moeram/mapping/address_mapper.h"
#include "moeram/system/instruction_turns.h"
#include "moeram/system/memory_system.h"
#include "moeram/system/queued_memory.h"
#include "moeram/system/shared_run.h"
#include "moeram/system/simulator_run.h"

namespace moeram {

// What a run leaves; the same for both.
struct QueuedResult {
  Cycle cycles = 0;                                                // of the memory system
  std::vector<std::pair<std::string, std::int64_t>> totals;       // as the simulator names them
};

class QueuedRun : public SimulatorRun {
 public:
  QueuedRun(const Params& config, bool strict, const std::string& folder);
  using SimulatorRun::run;
  using SimulatorRun::statistics;
  void run(bool skip, Cycle most_cycles) override;
  // Plays the trace of instructions, but for the one that ends it, as play_turns does, and reports nothing else.
  Turns run_turns(std::int64_t most, bool fold);
  std::string statistics(bool lists) const override;
  const std::vector<std::string>& warnings() const override { return warnings_; }
  // Every column command of the program in its own order, channel by channel in each instruction. Throws ConfigError where the trace is
  // no program of instructions.
  void lower(const ProgramCheck::Sink& sink) const;
  const InstructionTrace& trace() const { return trace_; }
  const InstructionSet& instructions() const { return *set_; }
  using Named = std::vector<std::pair<std::string, std::int64_t>>;
  Named command_counts(const QueuedController& channel) const;   // commands that were issued
  Named cycle_statistics(const QueuedController& channel) const;
  const QueuedResult& result() const { return result_; }
  // Of a run with ordinary requests beside the program.
  const std::optional<SharedResult>& shared() const { return shared_; }
  QueuedMemory& memory() { return *memory_; }
  const QueuedMemory& memory() const { return *memory_; }

 private:
  QueuedResult play_operations(RequestSource& source, QueuedMemory& memory) const;
  QueuedResult play(QueuedMemory& memory) const;
  bool may_reuse(const QueuedMemory& memory) const;
  void run_both(bool skip);
  void run_alone(bool skip, Cycle together);
  void read_memory(const Params& config);
  void read_frontend(const Params& config);

  std::string folder_;
  std::string dialect_;
  std::string reference_;  // the simulator that the standard follows; empty: none
  std::unique_ptr<Standard> standard_;
  std::unique_ptr<QueuedMemory> memory_;
  std::unique_ptr<AddressMapper> mapper_;
  std::unique_ptr<InstructionSet> set_;
  InstructionTrace trace_;
  std::function<QueuedResult(QueuedMemory&)> play_;  // the front end
  std::unique_ptr<HostTraffic> host_;   // beside the program
  std::vector<std::unique_ptr<RequestFeed>> feeds_;
  std::optional<SharedResult> shared_;
  ClockRatio ratio_;
  Cycle most_cycles_ = kNever;
  bool reuse_ = true;    // channels that do the same are simulated once
  bool priced_ = false;  // the energy of commands is wanted
  std::vector<std::string> warnings_;
  QueuedResult result_;
};

}  // namespace moeram
