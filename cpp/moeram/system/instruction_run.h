// The engine that expands instructions into requests, and the run that it drives.
#pragma once

#include <vector>

#include "moeram/frontend/instruction_trace.h"
#include "moeram/system/queued_run.h"

namespace moeram {

// One instruction a cycle of the engine; its requests go to their channels column by column, and what a channel refuses is offered again
// in every cycle. The next instruction follows when everything is sent and, where it waits, completed. Channels tick in the engine's
// cycles 0, `channel_ratio`, ... Between they do not see each other, so each is brought forward only when it is offered something.
// Throws EngineError if the run takes more than `most_cycles`.
QueuedResult play_instructions(const InstructionSet& set, const InstructionTrace& trace, QueuedMemory& memory, ClockRatio ratio,
                               std::int64_t channel_ratio, Cycle most_cycles = kNever);

// All but the instruction that ends the trace, again and again, on a memory of one channel at the engine's clock. Ends with the first turn after which a state came back, at the latest after `most`; without
// `fold` always then.
Turns play_turns(const InstructionSet& set, const InstructionTrace& trace, QueuedMemory& memory, std::int64_t most, bool fold);

}  // namespace moeram
