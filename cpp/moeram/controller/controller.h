// The generic memory controller of one channel: four queues in order of service, one command a tick and issue bus.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "moeram/base/ring.h"
#include "moeram/controller/listener.h"
#include "moeram/controller/memory_port.h"
#include "moeram/controller/ordered_queue.h"
#include "moeram/controller/queue.h"
#include "moeram/controller/refresh/refresh_manager.h"
#include "moeram/controller/row_policy/row_policy.h"
#include "moeram/controller/scheduler/scheduler.h"
#include "moeram/dram/device.h"

namespace moeram {

struct ControllerOptions {
  float write_low_watermark = 0.2F;
  float write_high_watermark = 0.8F;
  std::string scheduler = "FRFCFS";
  std::string refresh = "AllBank";
  std::string row_policy = "OpenRowPolicy";
  std::int64_t row_policy_cap = 10000000;
  // Instead of a row policy by name, e.g. one from outside.
  std::function<std::unique_ptr<RowPolicy>(const Spec&, int channel)> make_row_policy;
  int priority_queue_size = 512 * 3 + 32;
  int cores = 1;
};

// Names and meanings as Ramulator 2.0 prints them.
struct ControllerStatistics {
  std::int64_t row_hits = 0, row_misses = 0, row_conflicts = 0;
  std::int64_t read_row_hits = 0, read_row_misses = 0, read_row_conflicts = 0;
  std::int64_t write_row_hits = 0, write_row_misses = 0, write_row_conflicts = 0;
  std::int64_t read_attempts = 0, write_attempts = 0, other_attempts = 0;
  std::int64_t queue_length_sum = 0, read_queue_length_sum = 0, write_queue_length_sum = 0, priority_queue_length_sum = 0;
  std::int64_t read_latency_sum = 0;
  std::int64_t latencies_from_zero = 0;  // of forwarded reads, whose latency 2.0 counts from cycle 0
  std::vector<std::int64_t> core_row_hits, core_row_misses, core_row_conflicts;
};

class Controller : public MemoryPort {
 public:
  Controller(const Spec& spec, int channel, const ControllerOptions& options);

  bool send(Request request) override { return offer(request); }
  // The same; leaves the caller's request prepared (its final_command is set), which another offer of it can use.
  bool offer(Request& request);
  bool send_first(Request request) override;
  void refuse_again(const Request& request, std::int64_t times) override;

  // `times` offers of a kind of request, accepted or not.
  void count_attempts(int kind, std::int64_t times) {
    (kind == kRead ? statistics_.read_attempts : kind == kWrite ? statistics_.write_attempts : statistics_.other_attempts) += times;
  }

  void tick();

  // The first cycle whose tick may do something; every tick before it only lets time pass. Valid after a tick.
  Cycle next_event();
  // The same for senders that only wait for take_freed() and completions, not for what a tick did: it may be later.
  Cycle next_event_if_left_alone();
  // True once if the read or write queue lost a request since the last call.
  bool take_freed() { return std::exchange(freed_, false); }
  // Let `cycles` ticks pass in which nothing happens.
  void pass(Cycle cycles);

  void add_listener(std::shared_ptr<CommandListener> listener) { listeners_.push_back(std::move(listener)); }
  void set_sink(CompletionSink* sink) { sink_ = sink; }
  void set_read_sink(ReadSink* sink) { read_sink_ = sink; }

  bool drained() const { return read_.empty() && write_.empty() && active_.empty() && priority_.empty() && pending_.empty(); }
  // The state relative to now() and to where a stream stands; equal for two controllers of one device that will behave
  // alike from here on. Cycles to the next refresh are left out if `with_refresh` is false.
  std::vector<std::int64_t> canonical(const Frame& frame, bool with_refresh = true) const;
  std::vector<std::int64_t> canonical() const { return canonical(Frame(spec_, spec_.bank_level)); }
  // True if all rows that are open or asked for have the latency class of `row`.
  bool in_one_class(std::int64_t row) const;
  // Levels below this one may be renamed without anything but a stream noticing.
  int distinguished_level() const;
  // All that is counted, as integers whose growth over a stretch of time depends on that stretch alone, but for the first:
  // reads whose latency was taken from cycle 0 on.
  std::vector<std::int64_t> counts() const;
  // Count `times` rounds of `cycles` as done in which all counts() grow by `growth`; the first of them begins `since` cycles after
  // the round of which that is known. The state stays as it is, now() too.
  void take_as_done(std::span<const std::int64_t> growth, std::int64_t times, Cycle cycles, Cycle since);
  // The names of 2.0's statistics, then of the commands; counts of the energy model follow without names.
  std::vector<std::string> count_names() const;
  // Let the next refresh come earlier; false: nothing changed, it cannot be moved.
  bool hasten_refresh(Cycle cycles) {
    const bool moved = refresh_->hasten(cycles);
    next_refresh_ = refresh_->next_event();
    return moved;
  }

  Cycle now() const { return now_; }
  // With those that were taken as done.
  Cycle total_cycles() const { return now_ + done_; }
  int channel() const { return channel_; }
  ControllerStatistics statistics() const;
  Device& device() { return device_; }
  const Device& device() const { return device_; }
  const Scheduler& scheduler() const { return *scheduler_; }
  const RefreshManager& refresh() const { return *refresh_; }
  const RowPolicy& row_policy() const { return *row_policy_; }
  RowPolicy& row_policy() { return *row_policy_; }
  const std::vector<std::shared_ptr<CommandListener>>& listeners() const { return listeners_; }
  // Commands issued so far, by command.
  const std::vector<std::int64_t>& issued() const { return issued_; }

 private:
  template <class Visit>
  void visit_queues(Visit visit) const {
    visit(read_);
    visit(write_);
    visit(active_);
    visit(priority_);
  }
  struct Choice {
    Request* request = nullptr;     // nothing chosen
    RequestQueue* queue = nullptr;  // of the priority queue
    int slot = 0;
    int command = -1;
  };
  // What a command means here.
  struct Facts {
    bool opening = false;
    bool closing = false;
    bool counts_row_state = false;
    bool changes_state = false;
    bool only_of_its_bank = false;  // it changes no other
  };
  const Facts& facts_of(int command) const { return facts_[static_cast<std::size_t>(command)]; }
  // A sum over ticks of how many wait somewhere is that of their stays, each from tick to tick.
  void enters(std::int64_t& sum) { sum -= now_; }
  void leaves(std::int64_t& sum) { sum += now_; }
  void complete_read();
  void serve(int bus);
  Choice choose(int bus);
  Choice choose_from(RequestQueue& queue, int bus);
  Choice choose_from_priority(int bus);
  bool every_bus_held();
  bool restless() const;
  bool next_write_mode() const;
  void update_write_mode() { write_mode_ = next_write_mode(); }
  bool closes_a_row_in_use(const Choice& choice) const;
  void count_row_state(Request& request, int command);
  void issue(const Choice& choice);
  void protect(const Choice& choice);
  void finish(const Choice& choice);
  void take_out(const Choice& choice);
  void use(const Request& request, int change);
  void state_changed(int bank);
  void prepare(Request& request) const;

  const Spec& spec_;
  int channel_;
  Device device_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<RefreshManager> refresh_;
  std::unique_ptr<RowPolicy> row_policy_;
  std::vector<std::shared_ptr<CommandListener>> listeners_;
  CompletionSink* sink_ = nullptr;
  ReadSink* read_sink_ = nullptr;
  float low_mark_;
  float high_mark_;
  RequestQueue read_, write_, active_;
  OrderedQueue priority_;
  std::vector<int> in_use_;  // [bank] requests of the active queue that hold its row
  int in_use_by_many_ = 0;   // those that hold rows of several banks
  Ring<Request> pending_;    // reads whose data are on their way, in order of completion
  bool write_mode_ = false;
  bool mode_pending_ = false;  // ticks left out since the last one would have updated the write mode
  bool freed_ = false;
  bool quiet_ = false;  // the last tick issued nothing and nothing came since
  Cycle now_ = 0;
  Cycle done_ = 0;
  Cycle next_refresh_;
  int buses_;
  ControllerStatistics statistics_;  // sums of queue lengths without those that still wait, see statistics()
  std::vector<std::int64_t> issued_;
  std::vector<Facts> facts_;  // [command]
};

}  // namespace moeram
