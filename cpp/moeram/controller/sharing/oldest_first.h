// The side whose oldest request waits longer; of two that came together, the units'.
#pragma once

#include "moeram/controller/sharing/sharing_policy.h"

namespace moeram {

class OldestFirst : public SharingPolicy {
 public:
  Side first(Cycle, const SideStates& sides) const override {
    return sides[index_of(Side::host)].oldest < sides[index_of(Side::units)].oldest ? Side::host : Side::units;
  }
  Cycle next_change(Cycle, const SideStates&) const override { return kNever; }
  // Older than a request are at most those that the other side's queues held when it came.
  Cycle bound(Side side, const SharingLimits& limits) const override {
    const auto own = index_of(side), other = index_of(other_side(side));
    return limits.room[other] * limits.service[other] + limits.service[own];
  }
  std::string name() const override { return "OldestFirst"; }
};

}  // namespace moeram
