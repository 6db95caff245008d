#include "moeram/system/trace_folding.h"

#include <algorithm>
#include <numeric>

namespace moeram {
namespace {
constexpr std::int64_t kLeastTurn = 128;            // requests of a channel: looking at its state costs about as much as serving ten
constexpr std::int64_t kLongestTurn = 1 << 18;      // requests
constexpr std::int64_t kLeastTurns = 4;             // shorter runs have nothing to gain
constexpr int kTries = 4096;                        // of all channels
}  // namespace

bool TraceFolding::is_exact_for(const LoadStoreTrace& trace, MemorySystem& memory) {
  const Spec& spec = memory.spec();
  if (!trace.requests().repeats()) return false;
  if (spec.classes.size() > 1 || (spec.two_step && spec.two_step->looks_for_row_zero)) return false;
  if (trace.requests().highest_address() >= memory.mapper().end_address()) return false;
  return std::ranges::all_of(memory.channels(), [](const auto& channel) {
    return channel->listeners().empty() && channel->row_policy().has_canonical_state() && channel->hasten_refresh(0);
  });
}

TraceFolding::TraceFolding(LoadStoreTrace& trace, MemorySystem& memory)
    : trace_(trace), memory_(memory), frame_(memory.spec(), memory.channels().front()->distinguished_level()) {
  const Spec& spec = memory.spec();
  nodes_of_block_ = std::int64_t{spec.counts[0]} * spec.counts[static_cast<std::size_t>(spec.column_level)];
  keys_ = nodes_of_block_ * frame_.blocks();
  find_run(0);
}

// Requests until all addresses have moved by whole blocks; 0: the run is not worth it.
std::int64_t TraceFolding::turn_of(const RequestRuns::Run& run) const {
  if (!run.repeats() || run.step % 2 != 0) return 0;
  const std::int64_t block = memory_.mapper().bytes_between_blocks();
  const std::int64_t turn = block / std::gcd(block, run.step / 2) * run.period;
  const std::int64_t least = kLeastTurn * memory_.spec().counts[0];
  const std::int64_t turns = (least + turn - 1) / turn;
  return turn <= kLongestTurn && turn * turns <= run.count / kLeastTurns ? turn * turns : 0;
}

// The next run that may be folded.
void TraceFolding::find_run(std::size_t from) {
  const auto& runs = trace_.requests().runs();
  for (run_ = from; run_ < runs.size() && (turn_ = turn_of(runs[run_])) == 0;) ++run_;
  next_turn_ = next_refresh_ = kNever;
  if (run_ == runs.size()) return;
  begin_at(RequestCursor(trace_.requests(), run_));
}

// What came before the request at which `cursor` stands is no pattern for what follows.
void TraceFolding::begin_at(const RequestCursor& cursor) {
  begin_ = cursor.number();
  turns_ = {};
  refreshes_ = {};
  turns_done_ = refreshes_done_ = false;
  tries_left_ = kTries / memory_.spec().counts[0];
  next_turn_ = std::min(begin_ + turn_, run().end());
  checked_.emplace(cursor);
  checked_in_turn_ = 0;
  turn_keys_.clear();
  irregular_ = false;
  find_next_refresh();
}

void TraceFolding::find_next_refresh() {
  next_refresh_ = kNever;
  for (const auto& channel : memory_.channels()) next_refresh_ = std::min(next_refresh_, channel->refresh().next_event());
}

// Where a byte lies as one number, in which the blocks are the highest digit.
std::int64_t TraceFolding::key_of(std::int64_t byte_address) const {
  const Address address = memory_.mapper().map(byte_address);
  const Spec& spec = memory_.spec();
  const auto column = static_cast<std::size_t>(spec.column_level);
  return (frame_.block_of(address) * spec.counts[column] + address[column]) * spec.counts[0] + address[0];
}

// Up to which request, at most `end`, does every request of the run lie as many blocks behind that of the turn before?
std::int64_t TraceFolding::regular_until(std::int64_t end) {
  for (; checked_->number() < end; checked_->advance()) {
    const std::int64_t key = key_of(checked_->due().address());
    if (static_cast<std::int64_t>(turn_keys_.size()) < turn_) {
      turn_keys_.push_back(key);
      continue;
    }
    std::int64_t& before = turn_keys_[static_cast<std::size_t>(checked_in_turn_)];
    if (checked_->number() == begin_ + turn_) key_step_ = (key - before + keys_) % keys_;
    const std::int64_t expected = before + key_step_ < keys_ ? before + key_step_ : before + key_step_ - keys_;
    irregular_ = key != expected || key_step_ % nodes_of_block_ != 0;
    if (irregular_) break;
    before = key;
    if (++checked_in_turn_ == turn_) checked_in_turn_ = 0;
  }
  return checked_->number();
}

std::string TraceFolding::state(std::int64_t lead, bool with_refresh) {
  const Shift due = memory_.place_of(trace_.cursor().due().address(), frame_);
  frame_.stand_at(due.blocks, due.bytes);
  std::vector<std::int64_t> out = {lead, (trace_.cursor().number() - begin_) % turn_, frame_.fixed_part()};
  memory_.canonical(frame_, with_refresh, out);
  return pack(out);
}

// How often the period can be repeated: the request that is due after the last time must be of the run too.
std::int64_t TraceFolding::times_left(const Period& period) {
  if (period.cycles <= 0) return 0;
  const std::int64_t sent = trace_.cursor().number();
  const std::int64_t times = (run().end() - 1 - sent) / period.requests;
  const std::int64_t regular = regular_until(sent + times * period.requests + 1);
  return regular <= sent ? 0 : (regular - 1 - sent) / period.requests;
}

// Between two refreshes.
void TraceFolding::at_turn(std::int64_t lead) {
  if (trace_.cursor().run() != run_) {
    find_run(trace_.cursor().run());
    return;
  }
  // A bank may have ended, for one.
  if (irregular_ && trace_.cursor().number() >= checked_->number()) {
    begin_at(trace_.cursor());
    return;
  }
  next_turn_ = std::min(next_turn_ + turn_, run().end());
  if (turns_done_ || tries_left_ == 0) return;
  --tries_left_;
  memory_.catch_up();
  const Moment now = memory_.moment(trace_.cursor().number());
  const Period* period = turns_.visit(state(lead, false), now);
  if (period == nullptr) return;
  turns_done_ = true;
  std::int64_t times = times_left(*period);
  if (next_refresh_ != kNever && times > 0) times = std::min(times, (next_refresh_ - memory_.now() - 1) / period->cycles);
  if (times <= 0) return;
  tries_left_ = kTries / memory_.spec().counts[0];
  for (auto& channel : memory_.channels()) channel->hasten_refresh(times * period->cycles);
  jump(*period, times, now);
}

// From refresh to refresh.
void TraceFolding::at_refresh(std::int64_t lead) {
  find_next_refresh();
  turns_.forget_moments();
  turns_done_ = false;
  const std::int64_t sent = trace_.cursor().number();
  if (refreshes_done_ || sent < begin_ || sent >= run().end()) return;
  memory_.catch_up();
  const Moment now = memory_.moment(sent);
  const Period* period = refreshes_.visit(state(lead, true), now);
  if (period == nullptr) return;
  refreshes_done_ = true;
  if (const std::int64_t times = times_left(*period); times > 0) jump(*period, times, now);
}

void TraceFolding::jump(const Period& period, std::int64_t times, const Moment& now) {
  const std::int64_t requests = times * period.requests;
  const std::int64_t bytes = requests / run().period * (run().step / 2);
  const std::int64_t blocks = requests / turn_ * (key_step_ / nodes_of_block_) % frame_.blocks();
  memory_.take_as_done(period, times, now.time - period.begin, {bytes, blocks});
  trace_.cursor().jump(requests);
  folded_ += requests;
  // The turn that is due stays the one that is due.
  next_turn_ = std::min(next_turn_ + requests, run().end());
  find_next_refresh();
}

}  // namespace moeram
