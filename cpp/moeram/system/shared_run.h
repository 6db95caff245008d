// Ordinary requests beside a PIM program on one memory: what a configuration says of them (Frontend.Host, Controller.Sharing), and what
// each side loses by the other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/base/statistics.h"
#include "moeram/controller/sharing/sharing_policy.h"
#include "moeram/dram/spec.h"
#include "moeram/frontend/host_traffic.h"

namespace moeram {

class QueuedMemory;

class HostTraffic {
 public:
  // `host`: the map Frontend.Host. Throws ConfigError, TraceError. The mapper must outlive the traffic.
  HostTraffic(const Params& host, const Spec& spec, const AddressMapper& mapper, const std::string& folder);
  // As long as the program runs?
  bool endless() const { return trace_ == nullptr && stream_.requests < 0; }
  // One for each channel; they must not outlive this.
  std::vector<std::unique_ptr<RequestFeed>> feeds() const;

 private:
  const Spec& spec_;
  const AddressMapper& mapper_;
  HostStream stream_;
  std::unique_ptr<LoadStoreTrace> trace_;
  std::vector<std::vector<std::int64_t>> of_channel_;  // [channel] its requests of the trace
};

// The map Controller.Sharing. Throws ConfigError.
SharingOptions read_sharing(const Params& sharing);

struct SideResult {
  Cycle cycles = 0, cycles_alone = 0;      // until its last request is done; of an endless host: as long as the program runs
  std::int64_t requests = 0;               // completed in `cycles`
  std::int64_t requests_alone = 0;         // completed in `cycles_alone`
  std::int64_t bytes = 0;                  // read and written by its commands in `cycles`, in all banks that they reach
  std::int64_t commands = 0;
  double command_bus_share = 0;            // of the cycles of the whole run and its buses
  Cycle longest_wait = 0;                  // without completing a request
  Cycle bound = kNever;                    // that its policy promises for that
  // Times where both runs do the same, else rates.
  double slowdown() const;
};

struct SharedResult {
  std::string policy;
  std::array<SideResult, 2> sides;  // [side]
  bool endless_host = false;
};

// Of a memory that has run both: all but times and counts alone. `program_end`: in its channels' cycles.
SharedResult describe_together(const QueuedMemory& memory, Cycle program_end, Cycle host_end);
void add_to(Component& component, const SharedResult& result, Picosecond tck_ps);

}  // namespace moeram
