#include "moeram/mono3d/tier_model.h"

#include "moeram/base/errors.h"

namespace moeram {

double layer_trcd_ns(int layer) {
  const auto height = static_cast<double>(layer);
  return 1.098 + 7.629e-3 * height + 1.3324e-5 * height * height;
}

std::vector<LatencyClass> tier_classes(const TierOptions& options, int rows, Cycle nrp_cycles, Picosecond tck_ps) {
  if (options.tiers < 1 || options.layers < options.tiers || options.layers % options.tiers != 0 || rows % options.tiers != 0) {
    throw ConfigError(std::to_string(options.tiers) + " tiers do not divide " + std::to_string(options.layers) + " layers and " +
                      std::to_string(rows) + " rows evenly");
  }
  std::vector<LatencyClass> classes;
  for (int tier = 1; tier <= options.tiers; ++tier) {
    const int timed_as = options.slowest_everywhere ? options.tiers : tier;
    const double trcd_ns = layer_trcd_ns(options.layers / options.tiers * timed_as);
    LatencyClass item;
    item.row_begin = rows / options.tiers * (tier - 1);
    item.row_end = rows / options.tiers * tier;
    item.timing["nRCD"] = to_cycles(trcd_ns, tck_ps, Rounding::up);
    item.timing["nRAS"] = to_cycles(trcd_ns + options.ras_after_rcd_ns, tck_ps, Rounding::up);
    item.timing["nRC"] = item.timing["nRAS"] + nrp_cycles;
    classes.push_back(item);
  }
  return classes;
}

Spec resolve_with_tiers(const Standard& standard, DeviceOptions device, const TierOptions& tiers) {
  const Spec flat = resolve(standard, device);
  const int rows = flat.counts[static_cast<std::size_t>(flat.row_level)];
  device.classes = tier_classes(tiers, rows, flat.timing.at("nRP"), flat.tck_ps);
  return resolve(standard, device);
}

}  // namespace moeram
