#include "moeram/controller/controller.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {
namespace {
constexpr int kQueueSize = 32;
constexpr int kFewRequests = 2;  // with more a command usually follows at once

// By byte address, to the byte; by vector where there is no byte address.
bool same_target(const Request& read, const Request& write) {
  return read.byte_address == write.byte_address && (read.byte_address >= 0 || read.address == write.address);
}

}  // namespace

Controller::Controller(const Spec& spec, int channel, const ControllerOptions& options)
    : spec_(spec),
      channel_(channel),
      device_(spec),
      scheduler_(make_scheduler(options.scheduler)),
      refresh_(make_refresh_manager(options.refresh, spec, channel)),
      row_policy_(options.make_row_policy ? options.make_row_policy(spec, channel) : make_row_policy(options.row_policy, spec, options.row_policy_cap)),
      low_mark_(options.write_low_watermark * kQueueSize),
      high_mark_(options.write_high_watermark * kQueueSize),
      read_(device_, kQueueSize, true),
      write_(device_, kQueueSize, true),
      active_(device_, kQueueSize, false),
      priority_(device_, options.priority_queue_size),
      in_use_(static_cast<std::size_t>(spec.banks()), 0),
      buses_(static_cast<int>(spec.buses.size())),
      issued_(spec.commands.size(), 0) {
  for (std::size_t i = 0; i < spec.commands.size(); ++i) {
    const int command = static_cast<int>(i);
    facts_.push_back({spec.commands[i].opening, spec.commands[i].closing, spec.counts_row_state[i], device_.changes_state(command),
                      device_.changes_only_its_bank(command)});
  }
  next_refresh_ = refresh_->next_event();
  const auto cores = static_cast<std::size_t>(options.cores);
  statistics_.core_row_hits.assign(cores, 0);
  statistics_.core_row_misses.assign(cores, 0);
  statistics_.core_row_conflicts.assign(cores, 0);
}

void Controller::prepare(Request& request) const {
  if (request.kind < 0 || request.kind >= static_cast<int>(spec_.requests.size())) {
    throw EngineError("request kind " + std::to_string(request.kind) + " does not exist in " + spec_.standard);
  }
  request.final_command = spec_.requests[static_cast<std::size_t>(request.kind)].command;
  request.bank = device_.bank_of(request.address);
}

bool Controller::offer(Request& request) {
  count_attempts(request.kind, 1);
  RequestQueue& queue = request.kind == kWrite ? write_ : read_;
  if (queue.full() && (request.kind != kRead || write_.empty())) return false;
  if (request.final_command < 0) prepare(request);
  if (request.kind == kRead) {
    const auto same = [&](const Request& write) { return same_target(request, write); };
    if (write_.find_in_bank(request, same) != RequestQueue::kNone) {
      pending_.push_back(request);
      pending_.back().depart = now_ + 1;
      enters(statistics_.read_queue_length_sum);
      quiet_ = false;
      return true;
    }
  }
  if (!queue.push(request)) return false;
  queue.newest().arrive = now_;
  enters(request.kind == kWrite ? statistics_.write_queue_length_sum : statistics_.read_queue_length_sum);
  quiet_ = false;
  return true;
}

bool Controller::send_first(Request request) {
  prepare(request);
  quiet_ = false;
  if (!priority_.push(request)) return false;
  enters(statistics_.priority_queue_length_sum);
  return true;
}

void Controller::refuse_again(const Request& request, std::int64_t times) { count_attempts(request.kind, times); }

void Controller::tick() {
  ++now_;
  quiet_ = true;
  mode_pending_ = false;
  if (device_.tick(now_)) state_changed(-1);
  complete_read();
  if (now_ >= next_refresh_) {
    refresh_->tick(now_, *this);
    next_refresh_ = refresh_->next_event();
  }
  for (int bus = 0; bus < buses_; ++bus) serve(bus);
}

void Controller::serve(int bus) {
  const Choice choice = choose(bus);
  if (choice.request == nullptr) return;
  Request& request = *choice.request;
  row_policy_->on_choice(now_, choice.command, request, *this);
  for (const auto& listener : listeners_) listener->on_command(now_, choice.command, request);
  count_row_state(request, choice.command);
  issue(choice);
  quiet_ = false;
}

// At most one a tick, strictly in order: a forwarded read waits behind an older one. It changes nothing for a choice.
void Controller::complete_read() {
  if (pending_.empty() || pending_.front().depart > now_) return;
  const Request& done = pending_.front();
  if (done.depart - done.arrive > 1) statistics_.read_latency_sum += done.depart - done.arrive;
  if (done.arrive < 0) {
    ++statistics_.latencies_from_zero;
    statistics_.read_latency_sum += done_;
  }
  if (read_sink_ != nullptr && done.tag != 0) read_sink_->on_read_done(Request(done));
  pending_.pop_front();
  leaves(statistics_.read_queue_length_sum);
}

Controller::Choice Controller::choose(int bus) {
  Choice choice = choose_from(active_, bus);
  if (choice.request == nullptr) {
    if (!priority_.empty()) {
      choice = choose_from_priority(bus);
    } else {
      update_write_mode();
      choice = choose_from(write_mode_ ? write_ : read_, bus);
    }
  }
  if (choice.request != nullptr && closes_a_row_in_use(choice)) return {};
  return choice;
}

Controller::Choice Controller::choose_from(RequestQueue& queue, int bus) {
  if (queue.earliest_ready() > now_) return {};
  const int slot = scheduler_->choose(queue, now_, bus);
  if (slot == RequestQueue::kNone) return {};
  return {&queue.at(slot), &queue, slot, queue.next_command(slot)};
}

Controller::Choice Controller::choose_from_priority(int bus) {
  if (priority_.ready_at(now_) > now_ || priority_.next_bus() != bus) return {};
  return {&priority_.front(), nullptr, 0, priority_.next_command()};
}

bool Controller::next_write_mode() const {
  const auto writes = static_cast<float>(write_.size());
  return write_mode_ ? read_.empty() || writes >= low_mark_ : read_.empty() || writes > high_mark_;
}

// A row opened for a request is not closed before that request got its data, not even by a refresh.
bool Controller::closes_a_row_in_use(const Choice& choice) const {
  if (!facts_of(choice.command).closing) return false;
  const Request& request = *choice.request;
  if (request.bank >= 0 && in_use_by_many_ == 0) return in_use_[static_cast<std::size_t>(request.bank)] > 0;
  const Address& wanted = request.address;
  for (int slot = active_.first(); slot != RequestQueue::kNone; slot = active_.next(slot)) {
    const Address& used = active_.at(slot).address;
    bool same = true;
    for (int level = 0; level <= spec_.bank_level && same; ++level) {
      const auto l = static_cast<std::size_t>(level);
      same = wanted[l] == used[l] || wanted[l] < 0 || used[l] < 0;
    }
    if (same) return true;
  }
  return false;
}

void Controller::count_row_state(Request& request, int command) {
  if (request.counted || !facts_of(request.final_command).counts_row_state) return;
  if (command != request.final_command) request.counted = true;  // else it is copied at once, see finish()
  const bool read = request.kind == kRead;
  auto& s = statistics_;
  const auto add = [&](std::int64_t& all, std::int64_t& reads, std::int64_t& writes, std::vector<std::int64_t>& cores) {
    ++all;
    ++(read ? reads : writes);
    if (read && request.source >= 0) ++cores.at(static_cast<std::size_t>(request.source));
  };
  if (device_.row_hit(request.address, request.bank)) {
    add(s.row_hits, s.read_row_hits, s.write_row_hits, s.core_row_hits);
  } else if (device_.row_open(request.bank)) {
    add(s.row_conflicts, s.read_row_conflicts, s.write_row_conflicts, s.core_row_conflicts);
  } else {
    add(s.row_misses, s.read_row_misses, s.write_row_misses, s.core_row_misses);
  }
}

void Controller::issue(const Choice& choice) {
  const Request& request = *choice.request;
  const int bank = request.bank;
  const Facts& facts = facts_of(choice.command);
  device_.issue(choice.command, request.address, bank, now_);
  ++issued_[static_cast<std::size_t>(choice.command)];
  if (choice.command == request.final_command) {
    finish(choice);
  } else if (facts.opening && !active_.full()) {
    protect(choice);  // left unprotected in its own queue if the active one is full
  }
  if (facts.changes_state) state_changed(facts.only_of_its_bank ? bank : -1);
}

// Into the active queue. It is taken out first, since a push may move what stands in the queue.
void Controller::protect(const Choice& choice) {
  Request request = *choice.request;
  request.has_row = true;
  take_out(choice);
  use(request, 1);
  active_.push(request);
}

void Controller::finish(const Choice& choice) {
  const Request& request = *choice.request;
  if (request.kind == kRead) {
    pending_.push_back(request);
    pending_.back().depart = now_ + spec_.read_latency;
    pending_.back().counted = facts_of(request.final_command).counts_row_state;
    enters(statistics_.read_queue_length_sum);
  }
  if (sink_ == nullptr) {
    take_out(choice);
    return;
  }
  const Request done = request;
  take_out(choice);
  sink_->on_final_command(now_, done);
}

void Controller::take_out(const Choice& choice) {
  if (choice.queue == nullptr) {
    leaves(statistics_.priority_queue_length_sum);
    priority_.pop_front();
    return;
  }
  if (choice.queue == &active_) {
    use(*choice.request, -1);
  } else {
    leaves(choice.queue == &write_ ? statistics_.write_queue_length_sum : statistics_.read_queue_length_sum);
    freed_ = true;
  }
  choice.queue->remove(choice.slot);
}

// Rows that requests of the active queue have open.
void Controller::use(const Request& request, int change) {
  (request.bank >= 0 ? in_use_[static_cast<std::size_t>(request.bank)] : in_use_by_many_) += change;
}

void Controller::state_changed(int bank) {
  for (RequestQueue* queue : {&read_, &write_, &active_}) {
    if (!queue->empty()) queue->state_changed(bank);
  }
  if (!priority_.empty()) priority_.state_changed(bank);
}

// Has the active queue a ready request for each bus, so that no other queue is asked?
bool Controller::every_bus_held() {
  for (int bus = 0; bus < buses_; ++bus) {
    if (scheduler_->choose(active_, now_, bus) == RequestQueue::kNone) return false;
  }
  return true;
}

// With low above high watermark the write mode flips in every tick.
bool Controller::restless() const { return low_mark_ >= high_mark_ && !(read_.empty() && write_.empty()); }

Cycle Controller::next_event() {
  if (!quiet_ || restless()) return now_ + 1;
  Cycle next = std::min(device_.next_event(), next_refresh_);
  if (!pending_.empty()) next = std::min(next, pending_.front().depart);
  // A ready choice may have been held back by a row in use; then only an older request turning ready changes the choice.
  next = std::min(next, active_.next_ready_after(now_));
  if (active_.earliest_ready() <= now_ && every_bus_held()) return std::max(next, now_ + 1);
  if (!priority_.empty()) {
    const Cycle ready = priority_.ready_at(now_);
    if (ready > now_) next = std::min(next, ready);
  } else {
    next = std::min(next, (write_mode_ ? write_ : read_).next_ready_after(now_));
  }
  return std::max(next, now_ + 1);
}

// With few requests it is known without a tick that looks and finds nothing: they are asked now for the next tick.
Cycle Controller::next_event_if_left_alone() {
  if (quiet_) return next_event();
  if (read_.size() + write_.size() > kFewRequests || !priority_.empty() || restless()) return now_ + 1;
  RequestQueue& served = next_write_mode() ? write_ : read_;
  for (int bus = 0; bus < buses_; ++bus) {
    active_.oldest_ready(now_ + 1, bus);
    served.oldest_ready(now_ + 1, bus);
  }
  Cycle next = std::min({device_.next_event(), next_refresh_, active_.earliest_ready(), served.earliest_ready()});
  if (!pending_.empty()) next = std::min(next, pending_.front().depart);
  mode_pending_ = next > now_ + 1;
  return std::max(next, now_ + 1);
}

void Controller::pass(Cycle cycles) {
  if (mode_pending_) update_write_mode();
  mode_pending_ = false;
  now_ += cycles;
}

}  // namespace moeram
