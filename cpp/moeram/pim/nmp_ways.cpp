#include "moeram/pim/nmp_ways.h"

#include <cmath>

#include "moeram/base/errors.h"

namespace moeram {

NmpWays::NmpWays(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit)
    : shape_(shape), unit_(unit), tck_ps_(spec.tck_ps), unit_cycle_(unit.clock_ps / spec.tck_ps) {
  if (unit.clock_ps % spec.tck_ps != 0) {
    throw ConfigError("the unit's clock of " + std::to_string(unit.clock_ps) + " ps is no whole multiple of " + spec.standard + "'s " +
                      std::to_string(spec.tck_ps) + " ps");
  }
  mode_switch_ = to_cycles_up(unit.mode_switch_ns);
}

Cycle NmpWays::to_cycles_up(double time_ns) const {
  return static_cast<Cycle>(std::ceil(time_ns * 1000.0 / static_cast<double>(tck_ps_) - 1e-9));
}

Cycle NmpWays::link(std::int64_t bytes) const { return to_cycles_up(static_cast<double>(bytes) / unit_.channel_io_gb_per_s); }

// Both collectives pass slices both ways around the ring: the farthest processing unit is half the ring away. A hop of a
// step starts when the slice is complete (store and forward, aggregated on the fly in the reduce-scatter).
Cycle NmpWays::ring(std::int64_t slice_bytes) const {
  return (shape_.channels / 2) * (ceil_div(slice_bytes, unit_.ring_bytes_per_cycle) + unit_.ring_hop_cycles) * unit_cycle_;
}

Cycle NmpWays::link_in(std::int64_t batch) const {
  return unit_.overlap_all_gather ? link(slice_bytes(batch)) : link(batch * shape_.hidden_size * shape_.bytes_per_activation);
}

Cycle NmpWays::all_gather(std::int64_t batch) const { return unit_.overlap_all_gather ? ring(slice_bytes(batch)) : 0; }

}  // namespace moeram
