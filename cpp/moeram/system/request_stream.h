// One stream of requests into several channels. A front-end tick sends in order until a channel refuses; that request is offered
// again in the next tick. Channels are brought forward only when something is offered to them: between, they do not see each other.
#pragma once

#include <memory>
#include <vector>

#include "moeram/controller/queued_controller.h"
#include "moeram/frontend/request_source.h"
#include "moeram/system/memory_system.h"

namespace moeram {

struct StreamResult {
  Cycle cycles = 0;                     // of memory, until the stream has ended and nothing is queued or on its way
  std::vector<std::int64_t> accepted;   // [request kind]
};

// Throws EngineError if the run takes more than `most_cycles` of memory.
StreamResult run_stream(RequestSource& source, std::vector<std::unique_ptr<QueuedController>>& channels, ClockRatio ratio, Cycle most_cycles = kNever);
void refuse_cycles(Cycle cycles, Cycle most_cycles);

}  // namespace moeram
