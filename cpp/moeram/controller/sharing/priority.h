// One side always first; with a cap the other goes first once after so many cycles without being served.
#pragma once

#include "moeram/controller/sharing/sharing_policy.h"

namespace moeram {

class Priority : public SharingPolicy {
 public:
  Priority(Side preferred, Cycle cap) : preferred_(preferred), cap_(cap) {}

  Side first(Cycle now, const SideStates& sides) const override {
    return cap_ > 0 && now >= turn_of_other(sides) ? other_side(preferred_) : preferred_;
  }
  Cycle next_change(Cycle now, const SideStates& sides) const override { return cap_ > 0 && turn_of_other(sides) > now ? turn_of_other(sides) : kNever; }
  // The preferred side may be interrupted once, since a cap is no shorter than its service.
  Cycle bound(Side side, const SharingLimits& limits) const override {
    const Cycle preferred = limits.service[index_of(preferred_)], other = limits.service[index_of(other_side(preferred_))];
    if (side == preferred_) return cap_ > 0 ? 2 * preferred + other : preferred;
    return cap_ > 0 ? cap_ + other : kNever;
  }
  std::string name() const override { return preferred_ == Side::host ? "HostFirst" : "UnitsFirst"; }

 private:
  Cycle turn_of_other(const SideStates& sides) const { return sides[index_of(other_side(preferred_))].unserved_since + cap_; }

  Side preferred_;
  Cycle cap_;
};

}  // namespace moeram
