// Runs of requests over one row: sent, accepted and issued together where nothing else can come between.
#include <algorithm>

#include "moeram/controller/queued_controller.h"

namespace moeram {

Cycle QueuedController::send_run(Request request, int count) {
  const int number = static_cast<int>(queue_for(request));
  prepare(request);
  auto& column = request.address[static_cast<std::size_t>(spec_.column_level)];
  const auto kind = static_cast<std::size_t>(request.kind);
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

// The one queue that holds anything; -1: none, or several.
int QueuedController::lone_queue() const {
  const RunQueue* lone = nullptr;
  for (const RunQueue& queue : queues_) {
    if (queue.empty()) continue;
    if (lone != nullptr) return -1;
    lone = &queue;
  }
  return lone == nullptr ? -1 : static_cast<int>(lone - queues_.data());
}

void QueuedController::find_streams() {
  for (const auto& request : spec_.requests) {
    const auto kind = streams_.size();
    const auto command = static_cast<std::size_t>(request.command);
    bool alike = !device_.changes_state(request.command) && spec_.commands[command].apply_later < 0;
    for (const auto& level : spec_.rows) {
      alike = alike && std::all_of(level[command].begin(), level[command].end(), [](const TimingRow& row) { return row.window == 1; });
    }
    streams_.push_back(alike && !rules_.fence[kind] && !rules_.marker[kind] && !rules_.replies[kind]);
  }
  bool behind_turns = false;
  for (const auto& rule : rules_.queues) {
    const bool turns = rule.turn != QueueRules::Turn::always;
    behind_turns = behind_turns || turns;
    const bool first_alone = rule.chooser == QueueRules::Chooser::head && spec_.buses.size() < 2;
    lone_.push_back({rule.takes == QueueRules::Takes::requests && !turns, rules_.writing >= 0 && (behind_turns || !rule.blocks), first_alone});
  }
}

// Holding the only requests, will this queue issue the next command of its first one before anything else can happen here? So it is where
// that command is for an open row and no other request of the queue is ready as early; between, ticks let time pass.
bool QueuedController::only_goes_on(int number) {
  const Lone& lone = lone_[static_cast<std::size_t>(number)];
  if (!lone.may_stream || !skip_ || !pending_.empty() || sharing_ != nullptr || (feed_ != nullptr && !feed_->finished())) return false;
  if (lone.reaches_turns && !write_mode_) return false;  // no reads wait: the next search begins to write
  RunQueue& queue = queue_at(number);
  queue.evaluate(0, device_, version_, state_version_);
  const RunQueue::Run& run = queue.runs().front();
  if (!run.due() || streams_[static_cast<std::size_t>(run.kind)] == 0) return false;
  if (rules_.mode_command >= 0 && rules_.in_mode[static_cast<std::size_t>(run.final_command)] != mode_) return false;
  if (lone.first_alone) return true;
  const Cycle at = std::max(run.ready_at, now_ + 1);
  for (std::size_t other = 1; other < queue.runs().size(); ++other) {
    // A command only makes others later: what was known before it is a lower bound unless it changed banks.
    const RunQueue::Run& behind = queue.runs()[other];
    if (behind.state_version != state_version_ || behind.ready_at <= at) queue.evaluate(other, device_, version_, state_version_);
    if (behind.free || behind.ready_at <= at) return false;
  }
  return true;
}

// Issues that command, if it comes before anything else and not after `until`: as the ticks until then would. False: nothing done.
bool QueuedController::go_on(int number, Cycle until) {
  if (number < 0 || !only_goes_on(number)) return false;
  const RunQueue::Run& run = queue_at(number).runs().front();
  const Cycle at = std::max(run.ready_at, now_ + 1);
  if (at > until || at >= own_event()) return false;
  pass_waiting(at - now_);
  issue({number, 0, run.final_command});
  // The second choice finds nothing.
  kept_choice_ = spec_.buses.size() < 2 && rules_.queues[static_cast<std::size_t>(number)].keeps;
  return true;
}

// Issues the next commands of such a stream; each lets one more of `waiting` in. False: nothing done.
bool QueuedController::stream(int number, int& waiting) {
  if (lone_queue() != number) return false;
  RunQueue& queue = queue_at(number);
  const int command = queue.runs().front().final_command;
  if (!go_on(number, kNever)) return false;
  arrived(number, 1, true);
  queue.extend_last(1);
  --waiting;
  if (waiting == 0 || !only_goes_on(number) || queue.runs().front().final_command != command) return true;
  // A second bus may begin on the next row in the tick of the last command.
  const int together = queue.front_count(0) - static_cast<int>(spec_.buses.size() - 1);
  const int more = issue_columns(queue, std::min(together, waiting));
  if (more == 0) return true;
  queue.extend_last(more);
  queue.pop_front(0, more);
  waiting -= more;
  return true;
}

// Issues up to so many commands of the queue's first slot, as many as come before anything else; returns how many. If nobody listens
// they are folded: after the first, only the command itself moves its next cycle, so the distance is the same up to the next refresh;
// and since its rows count from the latest issue, issuing the last one leaves the device as issuing all.
int QueuedController::issue_columns(const RunQueue& queue, int most) {
  Request request = queue.front(0);
  const int command = request.final_command;
  auto& column = request.address[static_cast<std::size_t>(spec_.column_level)];
  const Cycle limit = own_event();
  Cycle at = std::max(queue.runs().front().ready_at, now_ + 1);
  int issued = 0;
  if (fold_ && listeners_.empty()) {
    issued = static_cast<int>(std::min<Cycle>(most, (limit - 1 - now_) / (at - now_)));
    if (issued < 1) return 0;
    column += issued - 1;
    pass_waiting(issued * (at - now_));
    device_.issue(command, request.address, request.bank, now_);
  } else {
    for (; issued < most && at < limit; ++issued, ++column) {
      pass_waiting(at - now_);
      for (const auto& listener : listeners_) listener->on_command(now_, command, request);
      device_.issue(command, request.address, request.bank, now_);
      at = std::max(device_.ready_at(command, request.address, request.bank), now_ + 1);
    }
    if (issued == 0) return 0;
  }
  ++version_;
  const auto kind = static_cast<std::size_t>(request.kind);
  statistics_.issued[static_cast<std::size_t>(command)] += issued;
  statistics_.cycles[kind] += issued;
  statistics_.completed[kind] += issued;
  writes_done_ = std::max(writes_done_, now_ + rules_.latency[static_cast<std::size_t>(command)]);
  last_progress_ = now_;
  quiet_ = false;
  return issued;
}

}  // namespace moeram
