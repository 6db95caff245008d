#include "moeram/dram/overlay.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

YAML::Node joined(const YAML::Node& first, const YAML::Node& second) {
  YAML::Node list(YAML::NodeType::Sequence);
  for (const auto& item : first) list.push_back(item);
  for (const auto& item : second) list.push_back(item);
  return list;
}

// Steps of the first list whose name the second does not have, then the second.
YAML::Node joined_by_name(const YAML::Node& first, const YAML::Node& second) {
  YAML::Node list(YAML::NodeType::Sequence);
  for (const auto& item : first) {
    const bool replaced = std::any_of(second.begin(), second.end(), [&](const YAML::Node& other) {
      return other["name"].IsDefined() && item["name"].IsDefined() && other["name"].Scalar() == item["name"].Scalar();
    });
    if (!replaced) list.push_back(item);
  }
  return joined(list, second);
}

YAML::Node merged(const YAML::Node& base, const YAML::Node& extension, const std::string& key) {
  if (base.IsSequence() && extension.IsSequence()) {
    if (key == "constraints") return joined(base, extension);
    if (key == "derived") return joined_by_name(base, extension);
  }
  if (!base.IsMap() || !extension.IsMap()) return extension;
  YAML::Node map(YAML::NodeType::Map);
  for (const auto& entry : base) {
    const std::string name = entry.first.Scalar();
    const YAML::Node over = extension[name];
    map[name] = over.IsDefined() ? merged(entry.second, over, name) : entry.second;
  }
  for (const auto& entry : extension) {
    if (!base[entry.first.Scalar()].IsDefined()) map[entry.first.Scalar()] = entry.second;
  }
  return map;
}

}  // namespace

Params overlay(const Params& base, const Params& extension) {
  return extension.replaced(merged(base.node(), extension.node(), ""));
}

Params without_faults(const Params& file, const FaultChoice& choice) {
  const auto faults = file.optional_child("faults");
  const std::vector<std::string> names = faults ? faults->keys() : std::vector<std::string>{};
  for (const auto& [name, wanted] : choice.named) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      throw ConfigError("fault '" + name + "' is unknown in " + file.text("standard") + "@" + file.text("edition") + did_you_mean(name, names));
    }
  }
  const bool all = choice.all.value_or(!file.boolean("corrected", false));
  Params out = file;
  for (const auto& name : names) {
    const auto found = choice.named.find(name);
    if (found == choice.named.end() ? all : found->second) continue;
    const Params without = faults->child(name).child("without");
    if (!without.is_map()) without.fail("a map of what is different without the fault is expected");
    out = overlay(out, without);
    out.override_value("faults." + name + ".present", "false");
  }
  return out;
}

FaultChoice read_fault_choice(const Params& holder) {
  FaultChoice choice;
  const auto faults = holder.optional_child("faults");
  if (!faults) return choice;
  if (faults->is_scalar()) {
    const std::string word = faults->as_text();
    if (word != "none" && word != "all") faults->fail("'none', 'all' or a map from names of faults to true or false is expected");
    choice.all = word == "all";
    return choice;
  }
  for (const auto& name : faults->keys()) choice.named[name] = faults->boolean(name);
  return choice;
}

}  // namespace moeram
