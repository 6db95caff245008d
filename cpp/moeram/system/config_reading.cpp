#include "moeram/system/config_reading.h"

#include <algorithm>

#include "moeram/base/text.h"

namespace moeram {
namespace {

// Keys that 2.0 knows somewhere; where nobody reads them they do nothing.
const std::vector<std::string>& known_keys() {
  static const std::vector<std::string> keys = {
      "Translation", "RFM", "drampower_enable", "voltage", "current", "power_debug", "RH_radius", "latency_factor_vrr", "latency_factor_rfc", "PRAC",
      "plugins", "id", "path", "ipc", "inst_window_depth", "llc_latency", "llc_linesize", "llc_associativity", "llc_capacity_per_core",
      "llc_num_mshr_per_core", "num_expected_insts", "traces", "max_addr", "seed", "pagesize_KB", "cap", "debug", "no_wait_traces",
      "lat_hist_sensitivity", "lat_dump_path", "llc_serialize", "llc_deserialize", "llc_serialization_filename", "llc_deserialization_filename",
      "num_max_cycles"};
  return keys;
}

}  // namespace

double read_watermark(const Params& controller, const std::string& key, double otherwise) {
  const double value = controller.number(key, otherwise);
  if (value < 0 || value > 1) controller.child(key).fail("must lie between 0 and 1");
  return value;
}

void check_unread(const Params& config, bool strict, std::vector<std::string>& warnings, const std::string& reference) {
  for (const auto& value : config.unread()) {
    const std::string key = value.key();
    const bool top_level = value.path() == key;
    const bool known = std::find(known_keys().begin(), known_keys().end(), key) != known_keys().end();
    if (strict || reference.empty() || (!known && !top_level)) {
      value.fail("key '" + printable(key) + "' means nothing here" + (known ? "" : did_you_mean(key, value.asked_beside())));
    }
    warnings.push_back(value.where() + ": key '" + printable(key) + "' is ignored here, as " + reference + " does");
  }
}

}  // namespace moeram
