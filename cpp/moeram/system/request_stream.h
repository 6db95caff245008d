// One stream of requests into several channels. A front-end tick sends in order until a channel refuses; that request is offered
// again in the next tick. Channels are brought forward only when something is offered to them: between, they do not see each other.
#pragma once

#include <vector>

#include "moeram/frontend/request_source.h"
#include "moeram/system/memory_system.h"
#include "moeram/system/queued_memory.h"

namespace moeram {

struct StreamResult {
  Cycle cycles = 0;                     // of memory, until the stream has ended and nothing is queued or on its way
  std::vector<std::int64_t> accepted;   // [request kind]
};

// `source` names only channels that are simulated. Throws EngineError if the run takes more than `most_cycles` of memory.
StreamResult run_stream(RequestSource& source, QueuedMemory& memory, ClockRatio ratio, Cycle most_cycles = kNever);
void refuse_cycles(Cycle cycles, Cycle most_cycles);

}  // namespace moeram
