// Tiers of a monolithic 3D-stacked DRAM: from wordline layers to latency classes.
#pragma once

#include <vector>

#include "moeram/dram/standard.h"

namespace moeram {

struct TierOptions {
  int layers = 1024;                 // Stratum, section 1.1
  int tiers = 8;
  std::vector<int> tier_layers;      // last layer of each tier; empty: a uniform split
  double ras_after_rcd_ns = 27.50;   // Stratum, section 1.2: tRAS = tRCD + 27.50 ns
  bool slowest_everywhere = false;   // every row at the timing of the last tier: the baseline without tiering
};

// tRCD in ns of a wordline layer, 1 = nearest the logic die. Quadratic as wordline RC is; reproduces the published
// 1.11 ns (layer 1) and the tRCD of all eight tiers within 0.005 ns (docs/papers/stratum.md 1.2).
double layer_trcd_ns(int layer);

// Latency classes of `rows` rows per bank ordered by layer; a tier takes the tRCD of its last, slowest layer.
// nRCD, nRAS and nRC = nRAS + nRP are set, rounded up to whole cycles. Throws ConfigError if the split is uneven.
std::vector<LatencyClass> tier_classes(const TierOptions& options, int rows, Cycle nrp_cycles, Picosecond tck_ps);

// A standard with its tiers.
Spec resolve_with_tiers(const Standard& standard, DeviceOptions device, const TierOptions& tiers);

}  // namespace moeram
