// The ways between processing units, and between them and the host: how long slices take on the ring and on the link.
#pragma once

#include "moeram/dram/spec.h"
#include "moeram/pim/nmp_unit.h"

namespace moeram {

// In cycles of the DRAM clock.
class NmpWays {
 public:
  // Throws ConfigError if the unit's clock is no whole multiple of the DRAM's.
  NmpWays(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit);

  Cycle unit_cycle() const { return unit_cycle_; }
  Cycle mode_switch() const { return mode_switch_; }
  Cycle link(std::int64_t bytes) const;
  Cycle ring(std::int64_t slice_bytes) const;
  // A batch reaches the processing units: over the link, then, with an all-gather, around the ring.
  Cycle link_in(std::int64_t batch) const;
  Cycle all_gather(std::int64_t batch) const;
  Cycle reduce_scatter(std::int64_t tokens) const { return ring(slice_bytes(tokens)); }
  Cycle link_out(std::int64_t batch) const { return link(slice_bytes(batch)); }

 private:
  std::int64_t slice_bytes(std::int64_t tokens) const { return tokens * shape_.hidden_slice() * shape_.bytes_per_activation; }
  Cycle to_cycles_up(double time_ns) const;

  const NmpShape& shape_;
  const NmpUnitOptions& unit_;
  Picosecond tck_ps_;
  Cycle unit_cycle_;
  Cycle mode_switch_;
};

}  // namespace moeram
