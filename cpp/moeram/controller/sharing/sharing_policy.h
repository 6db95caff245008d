// Ordinary requests (the host's side) and computing ones (the units' side) wait for one channel: who goes first?
//
// The side that goes first is served as if it were alone. Of the other side goes what does no harm: no command that opens or closes a
// row of a bank for which the first side has a request, and none that makes a waiting command of the first side later.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

enum class Side : std::uint8_t { host, units };
inline constexpr Side other_side(Side side) { return side == Side::host ? Side::units : Side::host; }
inline constexpr std::size_t index_of(Side side) { return static_cast<std::size_t>(side); }

struct SideState {
  bool waits = false;
  Cycle unserved_since = 0;  // since then it has waited without completing a request
  Cycle oldest = 0;          // when the oldest request arrived that its queues would serve
};
using SideStates = std::array<SideState, 2>;  // [side]

// What a policy's bound is made of.
struct SharingLimits {
  std::array<Cycle, 2> service{};  // [side] until it completes a request once it goes first, refreshes apart
  std::array<Cycle, 2> room{};     // [side] requests that fit its queues
};

// As a configuration asks for it. 0: not given.
struct SharingOptions {
  std::string policy;
  Cycle cap = 0;                   // of HostFirst and UnitsFirst: cycles after which the other side, unserved, goes first once
  std::array<Cycle, 2> slices{};   // [side] of TimeSlices
};

class SharingPolicy {
 public:
  virtual ~SharingPolicy() = default;
  // Both sides wait.
  virtual Side first(Cycle now, const SideStates& sides) const = 0;
  // The next cycle after `now` in which first() may answer otherwise although nothing was sent or issued.
  virtual Cycle next_change(Cycle now, const SideStates& sides) const = 0;
  // A waiting side completes a request within so many cycles, refreshes apart; kNever: no promise.
  virtual Cycle bound(Side side, const SharingLimits& limits) const = 0;
  // Where the policy stands in what it repeats; 0 for one that repeats nothing.
  virtual Cycle phase(Cycle) const { return 0; }
  virtual std::string name() const = 0;
};

std::vector<std::string> sharing_policy_names();
// Throws ConfigError: unknown, an option missing or not of this policy, or so short that a side could never complete anything.
std::unique_ptr<SharingPolicy> make_sharing_policy(const SharingOptions& options, const SharingLimits& limits);

}  // namespace moeram
