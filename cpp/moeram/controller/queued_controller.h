// The controller of one channel whose queues, buses, fences and modes are data (QueueRules). Time is the caller's: ticks one by one,
// or run_until, which jumps over cycles in which nothing happens.
//
// A tick: time advances; at most one reported completion; refreshes are asked for; then one command is chosen per bus. A choice
// asks the queues in order of service; the first whose best request is ready wins. With two buses a second choice follows in which
// only commands of the other bus count.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "moeram/controller/listener.h"
#include "moeram/controller/memory_port.h"
#include "moeram/controller/queue_rules.h"
#include "moeram/controller/refresh/refresh_manager.h"
#include "moeram/controller/request_feed.h"
#include "moeram/controller/run_queue.h"
#include "moeram/controller/sharing/sharing_policy.h"
#include "moeram/dram/device.h"

namespace moeram {

struct QueuedStatistics {
  std::vector<std::int64_t> issued;        // [command]
  std::vector<Cycle> cycles;               // [request kind] from a request's first command to its final one, both counted
  std::vector<std::int64_t> completed;     // [request kind]
  Cycle idle = 0;                          // nothing queued and nothing on its way
  Cycle row_open = 0, rows_closed = 0;     // cycles with and without an open row
  struct OfSide {
    std::vector<std::int64_t> issued;      // [command] for its requests
    std::int64_t completed = 0;
    Cycle longest_wait = 0;                // in which it waited without completing a request
  };
  std::array<OfSide, 2> sides;             // [side], only with a sharing policy
  std::int64_t fed = 0;                    // requests of the feed that have had their final command
};

class QueuedController : public MemoryPort {
 public:
  QueuedController(const Spec& spec, const QueueRules& rules, int channel, const std::string& refresh);

  // False: refused. Only fields kind, address and tag (and byte_address) count.
  bool send(Request request) override;
  // `count` requests for as many columns from this one's on, each as soon as there is room; returns now() when the last was taken.
  // The same as sending them one by one, but a stream over an open row costs little more than its first commands.
  Cycle send_run(Request request, int count);
  bool send_first(Request request) override;
  void refuse_again(const Request&, std::int64_t) override {}
  // Would send() take a request of this kind now?
  bool accepts(int kind) const;

  void tick();
  Cycle now() const { return now_; }
  // Every tick before this one only lets time pass, unless something is sent.
  Cycle next_event();
  // now() becomes `until`. Throws EngineError if waiting requests cannot make progress any more.
  void run_until(Cycle until);
  // Runs until a request of this kind is accepted, at most to `limit`; returns now().
  Cycle run_until_accepts(int kind, Cycle limit = kNever);
  // Runs to the end of the next tick that may do something. Throws EngineError if there is none.
  void step();
  // Runs until nothing is queued or on its way.
  Cycle run_until_drained();

  // Ordinary and computing requests beside each other as this policy has it, instead of the declared order and exclusions. The policy
  // must outlive the controller. Throws ConfigError where the rules do not allow it (why_not_shared).
  void share_by(const SharingPolicy* policy);
  SharingLimits sharing_limits() const { return sharing_limits(spec_, rules_); }
  static SharingLimits sharing_limits(const Spec& spec, const QueueRules& rules);
  // Within so many cycles a waiting side completes a request, refreshes counted; kNever: no promise. Only with a sharing policy.
  Cycle sharing_bound(Side side) const;
  // Takes ordinary requests from there too; drained() does not wait for them. The feed must outlive the controller.
  void take_from(RequestFeed* feed) { feed_ = feed; }
  // Runs until the feed has ended and its last datum is there; returns that cycle.
  Cycle run_until_fed();

  // Everything that decides what comes, relative to now() and to where a stream stands; the listeners' own apart.
  std::vector<std::int64_t> canonical(const Frame& frame) const;
  std::vector<std::int64_t> canonical() const { return canonical(Frame(spec_, spec_.bank_level)); }

  // Without it every cycle is a tick; the results are the same.
  void set_skip(bool skip) { skip_ = skip; }
  // Without it every command is issued by itself, also those of send_run that follow at equal distance; the results are the same.
  void set_fold(bool fold) { fold_ = fold; }
  bool drained() const;  // requests that were sent: a waiting refresh is none, nor is what comes from the feed
  void set_read_sink(ReadSink* sink) { sink_ = sink; }
  void add_listener(std::shared_ptr<CommandListener> listener) { listeners_.push_back(std::move(listener)); }
  const std::vector<std::shared_ptr<CommandListener>>& listeners() const { return listeners_; }
  const QueuedStatistics& statistics() const { return statistics_; }
  const Spec& spec() const { return spec_; }
  int channel() const { return channel_; }
  // What waits longest, for messages.
  std::string blocked_request() const;

 private:
  struct Choice {
    int queue = -1;  // -1: nothing
    std::size_t run = 0;
    int command = -1;
  };
  static constexpr int kAnyBus = -2;
  static constexpr int kNoBus = -1;

  Choice choose(int bus, int& looked_at);
  bool look_into(int queue, int bus, Choice& choice, int& looked_at);
  // With a sharing policy (queued_sharing.cpp).
  bool shares() const { return sharing_ != nullptr && queue_at(rules_.refreshes).empty(); }
  bool is_of(std::size_t queue, Side side) const { return rules_.side[queue] && *rules_.side[queue] == side; }
  bool has_turn(std::size_t queue) const;
  SideStates side_states() const;
  Choice choose_between_sides(int bus, int& looked_at);
  Choice harmless_choice(Side side, int bus);
  bool harms(const Choice& choice, Side first);
  bool makes_later(const Choice& choice, const RunQueue& queue, std::size_t run);
  Cycle next_sharing_event() const;
  void count_for_side(std::size_t queue, int command, std::int64_t times);
  void complete_for_side(std::size_t queue, std::int64_t times);
  void arrived(int queue, int count, bool sent);
  void take_fed();
  Cycle next_fed() const;
  bool admissible(int command, int bus) const;
  int best_run(RunQueue& queue);
  int first_due(RunQueue& queue);
  bool protected_by_a_hit(const RunQueue& queue, std::size_t run) const;
  bool drop_leading_fence(RunQueue& queue);
  bool turn_allows(const QueueRules::Queue& queue, bool& mode_is_fresh);
  bool write_mode_after() const;
  bool turns_are_reached() const;
  bool closes_a_row_in_use(const Choice& choice);
  bool same_bank_levels(const Address& a, const Address& b) const;
  bool overlaps(const Choice& choice, int command, const Address& used) const;
  void issue(const Choice& choice);
  void finish(const Choice& choice, Request& request);
  void move_to_opened(const Choice& choice, const Request& request);
  void complete_one();
  void count_open_rows(int command, const Address& address);
  bool nothing_waits() const;
  bool nothing_sent_waits() const { return sent_waiting_ == 0 && pending_.empty(); }
  // The next cycle that something brings about here which no request asked for.
  Cycle own_event() const { return std::min(device_.next_event(), refresh_->next_event()); }
  Cycle all_done() const { return std::max(writes_done_, fed_done_); }
  void pass(Cycle cycles);
  // The same while requests wait.
  void pass_waiting(Cycle cycles) {
    (marked_count_ > 0 ? statistics_.row_open : statistics_.rows_closed) += cycles;
    now_ += cycles;
  }
  std::size_t queue_for(const Request& request) const;
  void prepare(Request& request) const;
  int lone_queue() const;
  bool only_goes_on(int number);
  bool go_on(int number, Cycle until);
  bool stream(int number, int& waiting);
  int issue_columns(const RunQueue& queue, int most);
  void find_streams();
  void watch() const;
  bool forwarded(const Request& read) const;
  void evaluate(RunQueue& queue) const { queue.evaluate(device_, version_, state_version_); }
  RunQueue& queue_at(int number) { return queues_[static_cast<std::size_t>(number)]; }
  const RunQueue& queue_at(int number) const { return queues_[static_cast<std::size_t>(number)]; }

  const Spec& spec_;
  const QueueRules& rules_;
  int channel_;
  Device device_;
  std::uint64_t version_ = 1, state_version_ = 1;  // commands issued, and those of them that changed banks
  std::unique_ptr<RefreshManager> refresh_;
  std::vector<RunQueue> queues_;
  std::deque<Request> pending_;   // reported completions in order
  Cycle writes_done_ = 0;         // when all that was sent and is not reported has completed
  std::int64_t sent_waiting_ = 0; // requests that were sent and not yet issued to their end
  const SharingPolicy* sharing_ = nullptr;
  RequestFeed* feed_ = nullptr;
  Cycle fed_done_ = 0;            // when the last datum of the feed so far is there
  std::array<Cycle, 2> unserved_since_{};  // [side]
  std::array<std::int64_t, 2> waiting_{};  // [side] requests in its queues; this and the one above only with a sharing policy
  std::vector<bool> needs_banks_;  // [command] asks for or changes the state of banks
  bool write_mode_ = false;
  bool kept_choice_ = false;      // the last choice beyond the opened rows came from a queue that keeps its requests
  bool mode_ = false;
  bool skip_ = true;
  bool fold_ = true;
  bool quiet_ = false;            // the last tick did nothing
  Cycle now_ = 0;
  Cycle last_progress_ = 0;
  ReadSink* sink_ = nullptr;
  std::vector<std::shared_ptr<CommandListener>> listeners_;
  struct Lone {
    bool may_stream;     // takes requests, and not in turns
    bool reaches_turns;  // a search comes to the queues that take turns although this one holds something
    bool first_alone;    // only its first request is ever asked
  };
  std::vector<Lone> lone_;     // [queue] if no other holds anything
  std::vector<char> streams_;  // [request kind] needs nothing but its command, which changes no state and whose timing rows count from its latest issue
  std::vector<char> marked_open_;     // [bank]
  int marked_count_ = 0;
  QueuedStatistics statistics_;
};

}  // namespace moeram
