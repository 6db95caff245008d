#include "moeram/system/repeats.h"

namespace moeram {
namespace {
// Bounds on memory, about 2 KiB an entry; what comes later is simulated.
constexpr std::size_t kMostMoments = 4096;
constexpr std::size_t kMostKnown = 16384;
}  // namespace

std::string pack(const std::vector<std::int64_t>& state) {
  std::string out;
  out.reserve(state.size() + 64);
  for (const std::int64_t value : state) {
    auto rest = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
    for (; rest >= 128; rest >>= 7) out.push_back(static_cast<char>(rest | 128));
    out.push_back(static_cast<char>(rest));
  }
  return out;
}

const Period* Repeats::visit(std::string state, Moment moment) {
  if (const auto found = known_.find(state); found != known_.end()) return found->second;
  const auto before = moments_.find(state);
  if (before == moments_.end()) {
    if (moments_.size() < kMostMoments) moments_.emplace(std::move(state), std::move(moment));
    return nullptr;
  }
  const Cycle begin = before->second.time;
  Period period{begin, moment.time - begin, moment.requests - before->second.requests, {}};
  for (std::size_t i = 0; i < moment.counts.size(); ++i) period.counts.push_back(moment.counts[i] - before->second.counts[i]);
  periods_.push_back(std::move(period));
  const Period* found = &periods_.back();
  // Latencies counted from cycle 0 depend on where the round is entered; without them all states on it know it.
  const bool anywhere = moment.latencies_from_zero == before->second.latencies_from_zero;
  for (const auto& [other, seen] : moments_) {
    if (known_.size() < kMostKnown && (other == state || (anywhere && seen.time > begin))) known_.emplace(other, found);
  }
  return found;
}

}  // namespace moeram
