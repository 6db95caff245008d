#include "moeram/pim/expert_memo.h"

namespace moeram {
namespace {

// A list's own memory and that of a place in a table, roughly.
constexpr std::size_t kBytesOfEntry = 120;

// Banks in lockstep have equal entries, and most limits have passed.
ExpertMemo::Numbers run_lengths(const ExpertMemo::Numbers& numbers) {
  ExpertMemo::Numbers out;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i;
    while (end < numbers.size() && numbers[end] == numbers[i]) ++end;
    out.insert(out.end(), {numbers[i], static_cast<std::int64_t>(end - i)});
    i = end;
  }
  return out;
}

ExpertMemo::Numbers key_of(ExpertMemo::State state, const ExpertMemo::Numbers& program) {
  ExpertMemo::Numbers key = {state};
  key.insert(key.end(), program.begin(), program.end());
  return key;
}

}  // namespace

std::size_t ExpertMemo::Hash::operator()(const Numbers& numbers) const {
  std::uint64_t hash = numbers.size();
  for (const std::int64_t number : numbers) {
    hash = (hash ^ static_cast<std::uint64_t>(number)) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  return static_cast<std::size_t>(hash);
}

bool ExpertMemo::room_for(const Numbers& numbers) {
  const std::size_t size = kBytesOfEntry + numbers.size() * sizeof(std::int64_t);
  full_ = full_ || bytes_ + size > most_bytes_;
  if (!full_) bytes_ += size;
  return !full_;
}

std::shared_lock<std::shared_mutex> ExpertMemo::use() {
  if (const std::unique_lock alone(in_use_, std::try_to_lock); alone && full_) {
    states_.clear();
    steps_.clear();
    bytes_ = 0;
    full_ = false;
  }
  return std::shared_lock(in_use_);
}

ExpertMemo::State ExpertMemo::state(const Numbers& canonical) {
  auto key = run_lengths(canonical);
  const std::scoped_lock lock(mutex_);
  const auto found = states_.find(key);
  if (found != states_.end()) return found->second;
  if (!room_for(key)) return kUnknown;
  const auto number = static_cast<State>(states_.size());
  states_.emplace(std::move(key), number);
  return number;
}

bool ExpertMemo::is(State state, const Numbers& canonical) const {
  const auto key = run_lengths(canonical);
  const std::scoped_lock lock(mutex_);
  const auto found = states_.find(key);
  return found != states_.end() && found->second == state;
}

const ExpertMemo::Step* ExpertMemo::find(State state, const Numbers& program) const {
  if (state == kUnknown) return nullptr;
  const auto key = key_of(state, program);
  const std::scoped_lock lock(mutex_);
  const auto found = steps_.find(key);
  return found == steps_.end() ? nullptr : &found->second;
}

bool ExpertMemo::add(State state, const Numbers& program, const Step& step) {
  if (state == kUnknown || step.next == kUnknown) return true;
  auto key = key_of(state, program);
  const std::scoped_lock lock(mutex_);
  if (steps_.contains(key)) return false;
  if (room_for(step.grown)) steps_.emplace(std::move(key), step);
  return true;
}

}  // namespace moeram
