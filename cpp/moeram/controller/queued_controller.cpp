#include "moeram/controller/queued_controller.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {
namespace {

constexpr Cycle kPatience = 1000000;  // without any completion; the longest legal wait is a refresh

std::vector<RunQueue> make_queues(const QueueRules& rules, int column_level) {
  std::vector<RunQueue> queues;
  for (const auto& queue : rules.queues) queues.emplace_back(queue.capacity, column_level);
  return queues;
}

}  // namespace

QueuedController::QueuedController(const Spec& spec, const QueueRules& rules, int channel, const std::string& refresh)
    : spec_(spec),
      rules_(rules),
      channel_(channel),
      device_(spec),
      refresh_(make_refresh_manager(refresh, spec, channel)),
      queues_(make_queues(rules, spec.column_level)),
      marked_open_(static_cast<std::size_t>(spec.banks()), false) {
  for (std::size_t command = 0; command < spec.commands.size(); ++command) {
    const auto asks = [&](const auto& level) { return level[command] != Prerequisite::none; };
    needs_banks_.push_back(device_.changes_state(static_cast<int>(command)) || std::any_of(spec.prerequisites.begin(), spec.prerequisites.end(), asks));
  }
  find_streams();
  statistics_.issued.assign(spec.commands.size(), 0);
  for (auto& side : statistics_.sides) side.issued.assign(spec.commands.size(), 0);
  statistics_.cycles.assign(spec.requests.size(), 0);
  statistics_.completed.assign(spec.requests.size(), 0);
}

bool QueuedController::accepts(int kind) const {
  const int number = rules_.queue_of_kind[static_cast<std::size_t>(kind)];
  for (const int other : rules_.queues[static_cast<std::size_t>(number)].refused_while) {
    const bool of_the_other_side = rules_.side[static_cast<std::size_t>(other)] != rules_.side[static_cast<std::size_t>(number)];
    if (!queue_at(other).empty() && !(sharing_ != nullptr && of_the_other_side)) return false;
  }
  if (kind == kRead && rules_.writing >= 0 && !queue_at(rules_.writing).empty() && rules_.forwards_any_write) return true;
  return !queue_at(number).full();
}

// Throws EngineError for a kind that nobody takes.
std::size_t QueuedController::queue_for(const Request& request) const {
  const bool known = request.kind >= 0 && request.kind < static_cast<int>(spec_.requests.size());
  if (!known || rules_.queue_of_kind[static_cast<std::size_t>(request.kind)] < 0) {
    const std::string name = known ? "'" + spec_.requests[static_cast<std::size_t>(request.kind)].name + "'" : "kind " + std::to_string(request.kind);
    throw EngineError("request " + name + " enters no queue of the controller of " + spec_.standard + "@" + spec_.edition);
  }
  return static_cast<std::size_t>(rules_.queue_of_kind[static_cast<std::size_t>(request.kind)]);
}

void QueuedController::prepare(Request& request) const {
  request.final_command = spec_.requests[static_cast<std::size_t>(request.kind)].command;
  request.bank = device_.bank_of(request.address);
  request.arrive = now_;
}

bool QueuedController::send(Request request) {
  const std::size_t number = queue_for(request);
  const auto kind = static_cast<std::size_t>(request.kind);
  if (request.kind == kRead && forwarded(request)) {
    prepare(request);
    request.depart = now_ + 1;
    ++statistics_.completed[kind];
    if (request.source < 0) {
      pending_.push_back(request);
    } else {
      fed_done_ = std::max(fed_done_, request.depart);
      ++statistics_.fed;
    }
    quiet_ = false;
    return true;
  }
  if (!accepts(request.kind)) return false;
  prepare(request);
  if (nothing_sent_waits()) last_progress_ = now_;
  arrived(static_cast<int>(number), 1, request.source < 0);
  queues_[number].push(request, rules_.fence[kind] || rules_.marker[kind]);
  quiet_ = false;
  return true;
}

// Requests that are about to enter a queue.
void QueuedController::arrived(int queue, int count, bool sent) {
  if (sent) sent_waiting_ += count;
  const auto side = rules_.side[static_cast<std::size_t>(queue)];
  if (sharing_ == nullptr || !side) return;
  if (waiting_[index_of(*side)] == 0) unserved_since_[index_of(*side)] = now_;
  waiting_[index_of(*side)] += count;
}

// A read of what waits to be written is answered from there.
bool QueuedController::forwarded(const Request& read) const {
  if (rules_.writing < 0 || queue_at(rules_.writing).empty()) return false;
  if (rules_.forwards_any_write) return true;
  bool found = false;
  queue_at(rules_.writing).for_each([&](const Request& write) {
    found = found || (read.byte_address == write.byte_address && (read.byte_address >= 0 || read.address == write.address));
  });
  return found;
}

bool QueuedController::send_first(Request request) {
  request.final_command = spec_.requests[static_cast<std::size_t>(request.kind)].command;
  request.bank = device_.bank_of(request.address);
  RunQueue& queue = queue_at(rules_.refreshes);
  if (queue.full()) {
    throw EngineError("channel " + std::to_string(channel_) + ", cycle " + std::to_string(now_) + ": refreshes are not served; " + blocked_request());
  }
  queue.push(request, false);
  quiet_ = false;
  return true;
}

void QueuedController::tick() {
  ++now_;
  quiet_ = true;
  if (device_.tick(now_)) {
    ++version_;
    ++state_version_;
  }
  complete_one();
  refresh_->tick(now_, *this);
  if (feed_ != nullptr) take_fed();
  int looked_at = -1;
  const Choice choice = choose(kAnyBus, looked_at);
  if (choice.queue >= 0) issue(choice);
  if (spec_.buses.size() > 1) {
    int bus = kNoBus;
    if (looked_at >= 0 && spec_.commands[static_cast<std::size_t>(looked_at)].bus >= 0) {
      bus = 1 - spec_.commands[static_cast<std::size_t>(looked_at)].bus;
    }
    const Choice second = choose(bus, looked_at);
    if (second.queue >= 0) issue(second);
  }
  if (choice.queue < 0 && nothing_waits() && now_ >= all_done()) ++statistics_.idle;
  ++(marked_count_ > 0 ? statistics_.row_open : statistics_.rows_closed);
}

// At most one a tick, strictly in order.
void QueuedController::complete_one() {
  if (pending_.empty() || pending_.front().depart > now_) return;
  const Request done = pending_.front();
  if (rules_.marker[static_cast<std::size_t>(done.kind)] && now_ <= writes_done_) return;
  pending_.pop_front();
  quiet_ = false;
  last_progress_ = now_;
  if (sink_ != nullptr && done.tag != 0) sink_->on_read_done(done);
}

void QueuedController::issue(const Choice& choice) {
  quiet_ = false;
  Request& request = queue_at(choice.queue).front(choice.run);
  const bool is_done = queue_at(choice.queue).runs()[choice.run].is_done;
  if (is_done) request.first_command = now_;
  if (is_done || rules_.marker[static_cast<std::size_t>(request.kind)]) {
    finish(choice, request);
    return;
  }
  int command = choice.command;
  if (rules_.mode_command >= 0 && rules_.in_mode[static_cast<std::size_t>(request.final_command)] != mode_) {
    command = rules_.mode_command;
    mode_ = !mode_;
  }
  const Command& facts = spec_.commands[static_cast<std::size_t>(command)];
  for (const auto& listener : listeners_) listener->on_command(now_, command, request);
  if (request.first_command < 0) request.first_command = now_;
  device_.issue(command, request.address, request.bank, now_);
  ++version_;
  if (device_.changes_state(command)) ++state_version_;
  ++statistics_.issued[static_cast<std::size_t>(command)];
  count_for_side(static_cast<std::size_t>(choice.queue), command, 1);
  if (facts.opening || facts.closing) count_open_rows(command, request.address);
  if (command == request.final_command) {
    finish(choice, request);
  } else if (facts.opening && rules_.opened >= 0) {
    const bool keeps = rules_.keeps_by_last_choice ? kept_choice_ : rules_.queues[static_cast<std::size_t>(choice.queue)].keeps;
    if (!keeps) move_to_opened(choice, request);
  }
}

void QueuedController::finish(const Choice& choice, Request& request) {
  const auto kind = static_cast<std::size_t>(request.kind);
  const bool marker = rules_.marker[kind];
  if (!marker) statistics_.cycles[kind] += now_ - (request.first_command - 1);
  ++statistics_.completed[kind];
  complete_for_side(static_cast<std::size_t>(choice.queue), 1);
  request.depart = now_ + (marker ? 0 : rules_.latency[static_cast<std::size_t>(request.final_command)]);
  if (request.source >= 0) {
    fed_done_ = std::max(fed_done_, request.depart);
    ++statistics_.fed;
  } else {
    // A refresh gets nobody further: where there is time for nothing else, somebody must notice.
    const bool refresh = rules_.queues[static_cast<std::size_t>(choice.queue)].takes == QueueRules::Takes::refreshes;
    if (!refresh) {
      --sent_waiting_;
      last_progress_ = now_;
    }
    if (rules_.replies[kind] || marker) {
      pending_.push_back(request);
    } else {
      writes_done_ = std::max(writes_done_, request.depart);
    }
  }
  queue_at(choice.queue).pop_front(choice.run);
}

// Into the queue of requests whose row was opened for them; where that is full, it stays unprotected.
void QueuedController::move_to_opened(const Choice& choice, const Request& request) {
  RunQueue& opened = queue_at(rules_.opened);
  if (opened.full()) return;
  const Request moved = request;
  queue_at(choice.queue).pop_front(choice.run);
  opened.push(moved, false);
}

void QueuedController::count_open_rows(int command, const Address& address) {
  const Command& facts = spec_.commands[static_cast<std::size_t>(command)];
  const auto mark = [&](int bank) {
    const auto b = static_cast<std::size_t>(bank);
    marked_count_ += int{facts.opening} - marked_open_[b];
    marked_open_[b] = facts.opening;
  };
  if (facts.span == 0 && rules_.marks_number_in_group) {
    mark(address[static_cast<std::size_t>(spec_.bank_level)]);
  } else {
    device_.visit_banks(command, address, mark);
  }
}

bool QueuedController::nothing_waits() const {
  if (!pending_.empty()) return false;
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    if (rules_.queues[q].takes == QueueRules::Takes::requests && !queues_[q].empty()) return false;
  }
  return true;
}

bool QueuedController::drained() const { return nothing_sent_waits() && now_ >= writes_done_; }

Cycle QueuedController::next_event() {
  if (!quiet_ && write_mode_after() != write_mode_ && turns_are_reached()) return now_ + 1;
  Cycle next = own_event();
  if (!pending_.empty()) {
    const Request& first = pending_.front();
    next = std::min(next, rules_.marker[static_cast<std::size_t>(first.kind)] ? std::max(first.depart, writes_done_ + 1) : first.depart);
  }
  next = std::min(next, next_fed());
  for (RunQueue& queue : queues_) {
    if (queue.empty()) continue;
    if (rules_.fence[static_cast<std::size_t>(queue.runs().front().kind)]) return now_ + 1;
    evaluate(queue);
    for (const auto& run : queue.runs()) {
      if (run.ready_at > now_) {
        next = std::min(next, run.ready_at);
      } else if (!quiet_) {
        return now_ + 1;
      }
    }
  }
  if (shares()) next = std::min(next, next_sharing_event());
  return std::max(next, now_ + 1);
}

void QueuedController::pass(Cycle cycles) {
  if (nothing_waits()) statistics_.idle += std::max<Cycle>(now_ + cycles - std::max(now_, all_done() - 1), 0);
  pass_waiting(cycles);
}

void QueuedController::run_until(Cycle until) {
  while (now_ < until) {
    if (go_on(lone_queue(), until)) continue;
    const Cycle next = skip_ ? next_event() : now_ + 1;
    if (next > until) {
      pass(until - now_);
      return;
    }
    pass(next - 1 - now_);
    tick();
    watch();
  }
}

Cycle QueuedController::run_until_accepts(int kind, Cycle limit) {
  while (now_ < limit && !accepts(kind)) step();
  return now_;
}

Cycle QueuedController::run_until_drained() {
  while (!drained()) step();
  return now_;
}

// To the end of the next tick that may do something.
void QueuedController::step() {
  if (go_on(lone_queue(), kNever)) return;
  Cycle next = next_event();
  for (const Cycle done : {writes_done_, fed_done_}) {
    if (now_ < done) next = std::min(next, done);
  }
  if (next == kNever) throw EngineError("channel " + std::to_string(channel_) + ", cycle " + std::to_string(now_) + ": nothing can happen any more; " + blocked_request());
  if (skip_) pass(next - 1 - now_);
  tick();
  watch();
}

void QueuedController::watch() const {
  if (now_ - last_progress_ <= kPatience || nothing_sent_waits()) return;
  const std::string who = sharing_ != nullptr && feed_ != nullptr ? "of the program (" + sharing_->name() + ") " : "";
  throw EngineError("channel " + std::to_string(channel_) + ", cycle " + std::to_string(now_) + ": commands are issued, but no request " + who + "was completed for " +
                    std::to_string(kPatience) + " cycles; " + blocked_request());
}

std::string QueuedController::blocked_request() const {
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    if (queues_[q].empty() || rules_.queues[q].takes == QueueRules::Takes::refreshes) continue;
    const Request& request = queues_[q].front(0);
    std::string text = "blocked: " + spec_.requests[static_cast<std::size_t>(request.kind)].name + (request.line > 0 ? " of line " + std::to_string(request.line) : "") + " (";
    for (std::size_t level = 0; level < spec_.levels.size(); ++level) {
      text += (level > 0 ? ", " : "") + spec_.levels[level] + " " + std::to_string(request.address[level]);
    }
    const int next = device_.prerequisite(request.final_command, request.address, request.bank);
    return text + ") in queue '" + rules_.queues[q].name + "', which needs " + spec_.commands[static_cast<std::size_t>(next)].name + " first";
  }
  return "no request waits";
}

}  // namespace moeram
