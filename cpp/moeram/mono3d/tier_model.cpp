#include "moeram/mono3d/tier_model.h"

#include <algorithm>
#include <functional>

#include "moeram/base/errors.h"

namespace moeram {

double layer_trcd_ns(int layer) {
  const auto height = static_cast<double>(layer);
  return 1.098 + 7.629e-3 * height + 1.3324e-5 * height * height;
}

namespace {

std::vector<int> last_layers(const TierOptions& options, int rows) {
  if (!options.tier_layers.empty()) {
    const std::vector<int>& last = options.tier_layers;
    const bool ascending = last.front() >= 1 && std::adjacent_find(last.begin(), last.end(), std::greater_equal<>()) == last.end();
    if (!ascending || static_cast<int>(last.size()) != options.tiers || last.back() != options.layers || rows % options.layers != 0) {
      throw ConfigError("tier_layers must name the last layer of each of " + std::to_string(options.tiers) + " tiers, ascending up to layer " +
                        std::to_string(options.layers) + ", which must divide " + std::to_string(rows) + " rows");
    }
    return last;
  }
  if (options.tiers < 1 || options.layers < options.tiers || options.layers % options.tiers != 0 || rows % options.tiers != 0) {
    throw ConfigError(std::to_string(options.tiers) + " tiers do not divide " + std::to_string(options.layers) + " layers and " +
                      std::to_string(rows) + " rows evenly");
  }
  std::vector<int> last;
  for (int tier = 1; tier <= options.tiers; ++tier) last.push_back(options.layers / options.tiers * tier);
  return last;
}

}  // namespace

std::vector<LatencyClass> tier_classes(const TierOptions& options, int rows, Cycle nrp_cycles, Picosecond tck_ps) {
  const std::vector<int> last = last_layers(options, rows);
  std::vector<LatencyClass> classes;
  int row_begin = 0;
  for (const int layer : last) {
    const double trcd_ns = layer_trcd_ns(options.slowest_everywhere ? options.layers : layer);
    LatencyClass item;
    item.row_begin = row_begin;
    item.row_end = row_begin = static_cast<int>(std::int64_t{rows} * layer / options.layers);
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
