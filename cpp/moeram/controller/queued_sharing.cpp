// Ordinary and computing requests beside each other: the part of the queue-list controller that a sharing policy steers.
#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/controller/queued_controller.h"

namespace moeram {
namespace {

// The longest that any command but a refresh lets this one wait.
Cycle longest_debt(const Spec& spec, int command) {
  Cycle longest = 0;
  for (const auto& level : spec.rows) {
    for (std::size_t preceding = 0; preceding < level.size(); ++preceding) {
      if (spec.commands[preceding].refreshing) continue;
      for (const auto& row : level[preceding]) {
        if (row.following == command) longest = std::max(longest, *std::max_element(row.latency.begin(), row.latency.end()));
      }
    }
  }
  return longest + 1;
}

// What follows a refresh waits so long for it.
Cycle longest_refresh(const Spec& spec) {
  Cycle longest = 0;
  for (const auto& level : spec.rows) {
    for (std::size_t preceding = 0; preceding < level.size(); ++preceding) {
      if (!spec.commands[preceding].refreshing) continue;
      for (const auto& row : level[preceding]) longest = std::max(longest, *std::max_element(row.latency.begin(), row.latency.end()));
    }
  }
  return longest;
}

}  // namespace

// Closing, opening and the final command, each as late as anything issued before lets it be, as far as the request needs them; and the
// switch of a mode before it.
SharingLimits QueuedController::sharing_limits(const Spec& spec, const QueueRules& rules) {
  SharingLimits limits;
  for (std::size_t kind = 0; kind < rules.queue_of_kind.size(); ++kind) {
    if (rules.queue_of_kind[kind] < 0) continue;
    const int final_command = spec.requests[kind].command;
    const Command& facts = spec.commands[static_cast<std::size_t>(final_command)];
    const bool needs_row = std::any_of(spec.prerequisites.begin(), spec.prerequisites.end(),
                                       [&](const auto& level) { return level[static_cast<std::size_t>(final_command)] != Prerequisite::none; });
    const int opening = facts.opens_with >= 0 ? facts.opens_with : spec.open_one;
    const int closing = facts.closes_with >= 0 ? facts.closes_with : spec.close_one;
    Cycle service = longest_debt(spec, final_command);
    if (needs_row && opening >= 0 && opening != final_command) service += longest_debt(spec, opening);
    if (needs_row && closing >= 0 && closing != final_command) service += longest_debt(spec, closing);
    if (rules.mode_command >= 0) service += longest_debt(spec, rules.mode_command);
    auto& longest = limits.service[index_of(kind <= kWrite ? Side::host : Side::units)];
    longest = std::max(longest, service);
  }
  for (std::size_t q = 0; q < rules.queues.size(); ++q) {
    if (rules.side[q]) limits.room[index_of(*rules.side[q])] += rules.queues[q].capacity + 1;
  }
  return limits;
}

void QueuedController::share_by(const SharingPolicy* policy) {
  if (const std::string why = why_not_shared(rules_); !why.empty()) {
    throw ConfigError(spec_.standard + "@" + spec_.edition + " cannot take ordinary and computing requests beside each other: " + why);
  }
  sharing_ = policy;
}

Cycle QueuedController::sharing_bound(Side side) const {
  const SharingLimits limits = sharing_limits();
  const Cycle plain = sharing_->bound(side, limits);
  if (plain == kNever || refresh_->next_event() == kNever || !spec_.refresh) return plain;
  // A refresh finds opened rows in use, closes all, takes its time, and the service that it interrupted begins again.
  Cycle each = limits.service[0] + longest_refresh(spec_) + limits.service[index_of(side)];
  if (rules_.opened >= 0) each += (rules_.queues[static_cast<std::size_t>(rules_.opened)].capacity + 1) * longest_debt(spec_, spec_.requests[kRead].command);
  const Cycle interval = spec_.refresh->interval;
  if (each >= interval) return kNever;
  return plain + each * (plain / (interval - each) + 1);
}

bool QueuedController::has_turn(std::size_t queue) const {
  const auto turn = rules_.queues[queue].turn;
  return turn == QueueRules::Turn::always || (turn == QueueRules::Turn::when_writing) == write_mode_;
}

SideStates QueuedController::side_states() const {
  SideStates states;
  for (const Side side : {Side::host, Side::units}) {
    SideState& state = states[index_of(side)];
    state.waits = waiting_[index_of(side)] > 0;
    state.unserved_since = unserved_since_[index_of(side)];
    state.oldest = kNever;
    for (std::size_t q = 0; q < queues_.size(); ++q) {
      if (!is_of(q, side) || !has_turn(q)) continue;
      for (std::size_t run = 0; run < queues_[q].runs().size(); ++run) state.oldest = std::min(state.oldest, queues_[q].front(run).arrive);
    }
  }
  return states;
}

QueuedController::Choice QueuedController::choose_between_sides(int bus, int& looked_at) {
  if (rules_.writing >= 0) {
    const bool after = write_mode_after();
    if (after != write_mode_) quiet_ = false;
    write_mode_ = after;
  }
  const SideStates states = side_states();
  if (!states[0].waits && !states[1].waits) return {};
  const bool both = states[0].waits && states[1].waits;
  const Side first = both ? sharing_->first(now_, states) : states[0].waits ? Side::host : Side::units;
  Choice choice;
  for (std::size_t q = 0; q < queues_.size() && choice.queue < 0; ++q) {
    if (is_of(q, first) && has_turn(q) && !look_into(static_cast<int>(q), bus, choice, looked_at)) break;
  }
  if (choice.queue >= 0 && !closes_a_row_in_use(choice)) return choice;
  if (!both) return {};
  choice = harmless_choice(other_side(first), bus);
  if (choice.queue >= 0) looked_at = choice.command;
  return choice;
}

// Of the side that does not go first: what is ready and does the other no harm, in the order in which it would be served.
QueuedController::Choice QueuedController::harmless_choice(Side side, int bus) {
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    RunQueue& queue = queues_[q];
    if (!is_of(q, side) || !has_turn(q) || queue.empty()) continue;
    evaluate(queue);
    if (drop_leading_fence(queue) && queue.empty()) continue;
    const bool head_only = rules_.queues[q].chooser == QueueRules::Chooser::head;
    for (std::size_t run = 0; run < (head_only ? 1 : queue.runs().size()); ++run) {
      const auto& entry = queue.runs()[run];
      if (rules_.fence[static_cast<std::size_t>(entry.kind)]) break;
      if (entry.ready_at > now_ || !admissible(entry.next_command, bus) || (!head_only && run > 0 && protected_by_a_hit(queue, run))) continue;
      const Choice choice{static_cast<int>(q), run, entry.next_command};
      if (!closes_a_row_in_use(choice) && !harms(choice, other_side(side))) return choice;
    }
    if (rules_.queues[q].blocks) break;
  }
  return {};
}

bool QueuedController::harms(const Choice& choice, Side first) {
  const RunQueue& from = queue_at(choice.queue);
  if (from.runs()[choice.run].free) return false;
  const auto final_command = static_cast<std::size_t>(from.runs()[choice.run].final_command);
  if (rules_.mode_command >= 0 && rules_.in_mode[final_command] != mode_) return true;
  const bool changes_banks = device_.changes_state(choice.command);
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    RunQueue& queue = queues_[q];
    if (!is_of(q, first) || queue.empty()) continue;
    evaluate(queue);
    const bool head_only = rules_.queues[q].chooser == QueueRules::Chooser::head;
    for (std::size_t run = 0; run < queue.runs().size(); ++run) {
      const auto& entry = queue.runs()[run];
      if (entry.free) continue;
      if (changes_banks && needs_banks_[static_cast<std::size_t>(entry.final_command)] && overlaps(choice, entry.final_command, queue.front(run).address)) return true;
      if ((run == 0 || !head_only) && makes_later(choice, queue, run)) return true;
    }
  }
  return false;
}

// The next command of a run, the one that opens its row, or its last?
bool QueuedController::makes_later(const Choice& choice, const RunQueue& queue, std::size_t run) {
  const auto& entry = queue.runs()[run];
  const Address& issued = queue_at(choice.queue).front(choice.run).address;
  const Address& held = queue.front(run).address;
  const Command& facts = spec_.commands[static_cast<std::size_t>(entry.final_command)];
  const Cycle soonest = std::max(entry.ready_at, now_ + 1);
  const auto later = [&](int command) {
    const Cycle after = device_.earliest_after(choice.command, issued, command, held, now_);
    return after > soonest && after > device_.ready_at(command, held, entry.bank);
  };
  if (later(entry.next_command)) return true;
  if (entry.due()) return false;
  const int opening = facts.opens_with >= 0 ? facts.opens_with : spec_.open_one;
  return later(entry.final_command) || (opening >= 0 && opening != entry.next_command && later(opening));
}

Cycle QueuedController::next_sharing_event() const {
  const SideStates states = side_states();
  if (!states[0].waits || !states[1].waits) return kNever;
  const Side first = sharing_->first(now_ + 1, states);
  // What is ready and yet was not issued waits for another request of its side; a window of timing may let the other side in meanwhile.
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    if (!is_of(q, first)) continue;
    for (const auto& run : queues_[q].runs()) {
      if (run.ready_at <= now_) return now_ + 1;
    }
  }
  return sharing_->next_change(now_, states);
}

void QueuedController::count_for_side(std::size_t queue, int command, std::int64_t times) {
  if (sharing_ != nullptr && rules_.side[queue]) statistics_.sides[index_of(*rules_.side[queue])].issued[static_cast<std::size_t>(command)] += times;
}

void QueuedController::complete_for_side(std::size_t queue, std::int64_t times) {
  if (sharing_ == nullptr || !rules_.side[queue]) return;
  const std::size_t side = index_of(*rules_.side[queue]);
  auto& counted = statistics_.sides[side];
  counted.completed += times;
  counted.longest_wait = std::max(counted.longest_wait, now_ - unserved_since_[side]);
  unserved_since_[side] = now_;
  waiting_[side] -= times;
}

void QueuedController::take_fed() {
  if (feed_->finished() || feed_->due() > now_ || !accepts(feed_->kind())) return;
  Request request = feed_->next();
  request.source = 0;
  if (send(request)) feed_->advance(now_);
}

Cycle QueuedController::next_fed() const {
  if (feed_ == nullptr || feed_->finished() || !accepts(feed_->kind())) return kNever;
  return std::max(feed_->due(), now_ + 1);
}

Cycle QueuedController::run_until_fed() {
  if (feed_ == nullptr) return now_;
  while (!feed_->finished() || statistics_.fed < feed_->taken() || now_ < fed_done_) step();
  return fed_done_;
}

}  // namespace moeram
