#include "moeram/system/request_stream.h"

#include <algorithm>
#include <string>

#include "moeram/base/errors.h"

namespace moeram {

void refuse_cycles(Cycle cycles, Cycle most_cycles) {
  if (cycles > most_cycles) throw EngineError("not finished within " + std::to_string(most_cycles) + " cycles");
}

// The front end's n-th tick (from 0) is in iteration n * ratio.memory, memory's m-th tick (from 1) in (m - 1) * ratio.frontend;
// in the same iteration the front end goes first.
StreamResult run_stream(RequestSource& source, QueuedMemory& memory, ClockRatio ratio, Cycle most_cycles) {
  StreamResult result;
  result.accepted.assign(memory.spec().requests.size(), 0);
  std::int64_t tick = 0;
  Cycle now = 0;  // memory's ticks before the front end's
  while (!source.finished()) {
    const Request request = source.next();
    QueuedController& channel = *memory.channels()[static_cast<std::size_t>(request.address[0])];
    channel.run_until(now);
    while (!channel.send(request)) {
      const Cycle free = channel.run_until_accepts(request.kind);
      tick = std::max(tick + 1, ceil_div((free - 1) * ratio.frontend + 1, ratio.memory));
      now = ceil_div(tick * ratio.memory, ratio.frontend);
      channel.run_until(now);
      refuse_cycles(now + 1, most_cycles);
    }
    result.accepted[static_cast<std::size_t>(request.kind)] += source.channels();
    source.advance();
  }
  result.cycles = now + 1;
  for (QueuedController* channel : memory.simulated()) result.cycles = std::max(result.cycles, channel->run_until_drained());
  refuse_cycles(result.cycles, most_cycles);
  for (QueuedController* channel : memory.simulated()) channel->run_until(result.cycles);
  return result;
}

}  // namespace moeram
