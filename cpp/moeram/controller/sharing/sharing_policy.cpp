#include "moeram/controller/sharing/sharing_policy.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/controller/sharing/oldest_first.h"
#include "moeram/controller/sharing/priority.h"
#include "moeram/controller/sharing/time_slices.h"

namespace moeram {
namespace {

// Shorter, and a side would lose its rows again and again before it can use them.
void need(const std::string& what, Cycle given, Cycle least) {
  if (given < least) {
    throw ConfigError(what + ": " + std::to_string(given) + " cycles are too short; one request may take " + std::to_string(least));
  }
}

std::unique_ptr<SharingPolicy> make_priority(Side preferred, const SharingOptions& options, const SharingLimits& limits) {
  if (options.cap != 0) need(options.policy + ", cap", options.cap, limits.service[index_of(preferred)]);
  return std::make_unique<Priority>(preferred, options.cap);
}

}  // namespace

std::vector<std::string> sharing_policy_names() { return {"HostFirst", "UnitsFirst", "OldestFirst", "TimeSlices"}; }

std::unique_ptr<SharingPolicy> make_sharing_policy(const SharingOptions& options, const SharingLimits& limits) {
  const std::string& name = options.policy;
  const auto names = sharing_policy_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) throw ConfigError("Sharing '" + name + "' is unknown" + did_you_mean(name, names));
  if (options.cap != 0 && name != "HostFirst" && name != "UnitsFirst") throw ConfigError("Sharing " + name + " has no cap; HostFirst and UnitsFirst have");
  if ((options.slices[0] != 0 || options.slices[1] != 0) && name != "TimeSlices") throw ConfigError("Sharing " + name + " has no slices; TimeSlices has");
  if (name == "HostFirst") return make_priority(Side::host, options, limits);
  if (name == "UnitsFirst") return make_priority(Side::units, options, limits);
  if (name == "OldestFirst") return std::make_unique<OldestFirst>();
  need("Sharing TimeSlices, host_slice", options.slices[0], limits.service[0]);
  need("Sharing TimeSlices, units_slice", options.slices[1], limits.service[1]);
  return std::make_unique<TimeSlices>(options.slices);
}

}  // namespace moeram
