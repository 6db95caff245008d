// Which command next: the part of the queue-list controller that looks at queues.
#include <algorithm>

#include "moeram/controller/queued_controller.h"

namespace moeram {

QueuedController::Choice QueuedController::choose(int bus, int& looked_at) {
  Choice choice;
  if (shares()) return choose_between_sides(bus, looked_at);
  bool mode_is_fresh = false;
  bool beyond_opened = false;
  for (std::size_t q = 0; q < queues_.size() && choice.queue < 0; ++q) {
    const auto& rule = rules_.queues[q];
    if (!turn_allows(rule, mode_is_fresh)) continue;
    if (!beyond_opened && static_cast<int>(q) != rules_.opened) {
      beyond_opened = true;
      kept_choice_ = false;
    }
    if (!look_into(static_cast<int>(q), bus, choice, looked_at)) return {};
  }
  if (choice.queue >= 0 && closes_a_row_in_use(choice)) return {};
  return choice;
}

// Chooses from one queue if its best request is ready; false: it blocks what is behind it.
bool QueuedController::look_into(int number, int bus, Choice& choice, int& looked_at) {
  const auto& rule = rules_.queues[static_cast<std::size_t>(number)];
  RunQueue& queue = queue_at(number);
  int best = -1;
  if (rule.chooser == QueueRules::Chooser::head) {
    if (queue.empty()) return true;
    evaluate(queue);
    best = 0;
    if (rules_.bus_passes_waiting_refresh && !admissible(queue.runs().front().next_command, bus)) return true;
  } else if (number == rules_.opened && sharing_ != nullptr && !queue_at(rules_.refreshes).empty()) {
    best = first_due(queue);
  } else {
    best = best_run(queue);
  }
  looked_at = best < 0 ? -1 : queue.runs()[static_cast<std::size_t>(best)].next_command;
  if (best < 0 || queue.runs()[static_cast<std::size_t>(best)].ready_at > now_ || !admissible(looked_at, bus)) return !rule.blocks || queue.empty();
  choice = {number, static_cast<std::size_t>(best), looked_at};
  if (number != rules_.opened) kept_choice_ = rule.keeps;
  return true;
}

bool QueuedController::admissible(int command, int bus) const {
  return bus == kAnyBus || (bus != kNoBus && spec_.commands[static_cast<std::size_t>(command)].bus == bus);
}

bool QueuedController::write_mode_after() const {
  if (rules_.writing < 0) return write_mode_;
  const RunQueue& reads = queue_at(rules_.reading);
  const RunQueue& writes = queue_at(rules_.writing);
  const auto size = static_cast<double>(rules_.queues[static_cast<std::size_t>(rules_.writing)].capacity);
  if (write_mode_) return !(writes.size() < rules_.low_mark * size && !reads.empty());
  return writes.size() > rules_.high_mark * size || reads.empty();
}

// May a search come to the queues that take turns, or does an earlier one end it?
bool QueuedController::turns_are_reached() const {
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    if (rules_.queues[q].turn != QueueRules::Turn::always) return true;
    if (shares() && rules_.side[q]) continue;
    if (rules_.queues[q].blocks && !queues_[q].empty()) return false;
  }
  return false;
}

// Of queues that take turns only one is asked; the turn is decided when the search comes to the first of them.
bool QueuedController::turn_allows(const QueueRules::Queue& queue, bool& mode_is_fresh) {
  if (queue.turn == QueueRules::Turn::always) return true;
  if (!mode_is_fresh) {
    mode_is_fresh = true;
    const bool after = write_mode_after();
    if (after != write_mode_) quiet_ = false;
    write_mode_ = after;
  }
  return (queue.turn == QueueRules::Turn::when_writing) == write_mode_;
}

// A fence that has come to the head costs nothing; one a search goes.
bool QueuedController::drop_leading_fence(RunQueue& queue) {
  if (queue.empty() || !rules_.fence[static_cast<std::size_t>(queue.runs().front().kind)]) return false;
  if (queue.front(0).source < 0) --sent_waiting_;
  complete_for_side(static_cast<std::size_t>(&queue - queues_.data()), 1);
  queue.pop_front(0);
  quiet_ = false;
  return true;
}

// The first ready request in the order of arrival, else the first of all. Only row commands pass a fence.
int QueuedController::best_run(RunQueue& queue) {
  if (queue.empty()) return -1;
  evaluate(queue);
  drop_leading_fence(queue);
  if (queue.empty()) return -1;
  const auto& runs = queue.runs();
  const bool in_order = &queue != &queue_at(std::max(rules_.opened, 0)) || rules_.opened < 0;
  std::size_t best = 0;
  bool beyond_fence = false;
  for (std::size_t i = 1; i < runs.size(); ++i) {
    const bool best_ready = runs[best].ready_at <= now_;
    if (best_ready && in_order) break;
    if (rules_.fence[static_cast<std::size_t>(runs[i].kind)]) {
      beyond_fence = true;
      continue;
    }
    const Command& next = spec_.commands[static_cast<std::size_t>(runs[i].next_command)];
    if (beyond_fence && !next.opening && !next.closing) continue;
    const bool ready = runs[i].ready_at <= now_;
    if (ready != best_ready) {
      if (ready && !protected_by_a_hit(queue, i)) best = i;
    } else if (queue.front(i).arrive < queue.front(best).arrive) {
      best = i;
    }
  }
  return static_cast<int>(best);
}

// The first run whose row is open, a ready one if there is any: what the other side closed is not opened again before a refresh.
int QueuedController::first_due(RunQueue& queue) {
  evaluate(queue);
  int first = -1;
  for (std::size_t i = 0; i < queue.runs().size(); ++i) {
    if (!queue.runs()[i].due()) continue;
    if (queue.runs()[i].ready_at <= now_) return static_cast<int>(i);
    if (first < 0) first = static_cast<int>(i);
  }
  return first;
}

// Its command is no access to an open row, and another request of the queue hits the row of that bank.
bool QueuedController::protected_by_a_hit(const RunQueue& queue, std::size_t number) const {
  const auto& runs = queue.runs();
  if (rules_.hits[static_cast<std::size_t>(runs[number].next_command)]) return false;
  for (const auto& run : runs) {
    if (run.bank == runs[number].bank && rules_.hits[static_cast<std::size_t>(run.next_command)]) return true;
  }
  return false;
}

bool QueuedController::same_bank_levels(const Address& a, const Address& b) const {
  return std::equal(a.begin(), a.begin() + spec_.bank_level + 1, b.begin());
}

bool QueuedController::overlaps(const Choice& choice, int command, const Address& used) const {
  const std::uint32_t span = spec_.commands[static_cast<std::size_t>(choice.command)].span | spec_.commands[static_cast<std::size_t>(command)].span;
  const Address& closed = queue_at(choice.queue).front(choice.run).address;
  for (int level = 1; level <= spec_.bank_level; ++level) {
    const auto l = static_cast<std::size_t>(level);
    if ((span >> level & 1U) == 0 && closed[l] != used[l] && closed[l] >= 0 && used[l] >= 0) return false;
  }
  return true;
}

// A row is not closed while a request that is served earlier has it open and waits for its data. Service is in one order, so the
// first in it can always go on: nobody waits for ever. (The faulty guard lets a request block itself.)
bool QueuedController::closes_a_row_in_use(const Choice& choice) {
  if (!spec_.commands[static_cast<std::size_t>(choice.command)].closing) return false;
  if (rules_.guard_ignores_spans) {
    if (rules_.opened < 0) return false;
    const RunQueue& opened = queue_at(rules_.opened);
    for (std::size_t run = 0; run < opened.runs().size(); ++run) {
      if (same_bank_levels(opened.front(run).address, queue_at(choice.queue).front(choice.run).address)) return true;
    }
    return false;
  }
  for (int q = 0; q <= choice.queue; ++q) {
    const bool holds = q == rules_.opened || (rules_.queues[static_cast<std::size_t>(q)].keeps && q < choice.queue);
    if (!holds || (shares() && rules_.side[static_cast<std::size_t>(q)] != rules_.side[static_cast<std::size_t>(choice.queue)])) continue;
    RunQueue& queue = queue_at(q);
    evaluate(queue);
    for (std::size_t run = 0; run < queue.runs().size(); ++run) {
      const auto& user = queue.runs()[run];
      const bool itself = q == choice.queue && run == choice.run;
      if (!itself && !user.free && user.due() && overlaps(choice, user.final_command, queue.front(run).address)) return true;
    }
  }
  return false;
}

}  // namespace moeram
