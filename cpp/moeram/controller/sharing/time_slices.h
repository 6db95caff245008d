// The sides take turns by the clock: the host's slice, then the units'.
#pragma once

#include "moeram/controller/sharing/sharing_policy.h"

namespace moeram {

class TimeSlices : public SharingPolicy {
 public:
  explicit TimeSlices(const std::array<Cycle, 2>& slices) : slices_(slices) {}

  Side first(Cycle now, const SideStates&) const override { return phase(now) < slices_[0] ? Side::host : Side::units; }
  Cycle next_change(Cycle now, const SideStates&) const override {
    const Cycle at = phase(now);
    return now + (at < slices_[0] ? slices_[0] : slices_[0] + slices_[1]) - at;
  }
  // A request that comes too late in its side's slice waits for the other's and is then served in the next, which is long enough.
  Cycle bound(Side side, const SharingLimits& limits) const override {
    return slices_[index_of(other_side(side))] + 2 * limits.service[index_of(side)];
  }
  Cycle phase(Cycle now) const override { return now % (slices_[0] + slices_[1]); }
  std::string name() const override { return "TimeSlices"; }

 private:
  std::array<Cycle, 2> slices_;
};

}  // namespace moeram
