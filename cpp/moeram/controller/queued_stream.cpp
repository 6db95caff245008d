// Runs of requests over one row: sent, accepted and issued together where nothing else can come between.
#include <algorithm>

#include "moeram/controller/queued_controller.h"

namespace moeram {

Cycle QueuedController::send_run(Request request, int count) {
  prepare(request);
  auto& column = request.address[static_cast<std::size_t>(spec_.column_level)];
  const auto kind = static_cast<std::size_t>(request.kind);
  const int number = rules_.queue_of_kind[kind];
  const auto& rule = rules_.queues[static_cast<std::size_t>(number)];
  if (count == 1 || rule.chooser != QueueRules::Chooser::head || !rule.blocks || rules_.fence[kind] || rules_.marker[kind]) {
    for (; count > 0; --count, ++column) {
      while (!send(request)) run_until_accepts(request.kind);
    }
    return now_;
  }
  RunQueue& queue = queue_at(number);
  while (true) {
    run_until_accepts(request.kind);
    const int taken = std::min(count, queue.room());
    if (nothing_sent_waits()) last_progress_ = now_;
    arrived(number, taken, true);
    request.arrive = now_;
    queue.push(request, taken, false);
    quiet_ = false;
    column += taken;
    count -= taken;
    while (count > 0 && stream(number, count)) {
    }
    if (count == 0) return now_;
    column = queue.next_column();
  }
}

// Does the head of this queue only go on over its open row, with nothing else on its way?
bool QueuedController::streams_alone(int number) {
  for (int q = 0; q < static_cast<int>(queues_.size()); ++q) {
    if (q != number && !queue_at(q).empty()) return false;
  }
  RunQueue& queue = queue_at(number);
  if (queue.empty() || !pending_.empty() || !skip_ || sharing_ != nullptr || (feed_ != nullptr && !feed_->finished())) return false;
  evaluate(queue);
  const RunQueue::Run& run = queue.runs().front();
  const auto command = static_cast<std::size_t>(run.final_command);
  return run.due() && !run.free && !rules_.replies[static_cast<std::size_t>(run.kind)] && repeats_alike_[command] &&
         (rules_.mode_command < 0 || rules_.in_mode[command] == mode_);
}

// Issues the next command of such a stream and, if nobody listens, those of its row that follow it at equal distance; each lets one more
// of `waiting` in. After the first, only the command itself moves its next cycle, so the distance is the same up to the next
// refresh; and since its rows count from the latest issue, issuing the last one leaves the device as issuing all. False: nothing done.
bool QueuedController::stream(int number, int& waiting) {
  if (!streams_alone(number)) return false;
  RunQueue& queue = queue_at(number);
  const Cycle limit = std::min(refresh_->next_event(), device_.next_event());
  const int command = queue.runs().front().final_command;
  const Cycle at = std::max(queue.runs().front().ready_at, now_ + 1);
  if (at >= limit) return false;
  pass(at - now_);
  issue({number, 0, command});
  arrived(number, 1, true);
  queue.extend_last();
  --waiting;
  if (waiting == 0 || !listeners_.empty() || !streams_alone(number) || queue.runs().front().final_command != command) return true;
  const RunQueue::Run& run = queue.runs().front();
  const Cycle distance = std::max(run.ready_at - now_, Cycle{1});
  const auto more = std::min<Cycle>({queue.front_count(0), waiting, (limit - 1 - now_) / distance});
  if (more < 1) return true;
  pass(more * distance);
  Request last = queue.front(0);
  last.address[static_cast<std::size_t>(spec_.column_level)] += static_cast<std::int32_t>(more) - 1;
  device_.issue(command, last.address, last.bank, now_);
  ++version_;
  const auto kind = static_cast<std::size_t>(last.kind);
  statistics_.issued[static_cast<std::size_t>(command)] += more;
  statistics_.cycles[kind] += more;
  statistics_.completed[kind] += more;
  count_for_side(static_cast<std::size_t>(number), command, more);
  complete_for_side(static_cast<std::size_t>(number), more);  // and as many come in behind
  waiting_[index_of(Side::units)] += more;
  writes_done_ = std::max(writes_done_, now_ + rules_.latency[static_cast<std::size_t>(command)]);
  last_progress_ = now_;
  for (Cycle i = 0; i < more; ++i) queue.extend_last();
  queue.pop_front(0, static_cast<int>(more));
  waiting -= static_cast<int>(more);
  quiet_ = false;
  return true;
}

}  // namespace moeram
