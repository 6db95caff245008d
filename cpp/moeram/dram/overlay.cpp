#include "moeram/dram/overlay.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

using Kind = YamlNode::Kind;

YamlTree joined(const YamlNode& first, const YamlNode& second) {
  YamlTree list = make_yaml(Kind::list);
  list->items = first.items;
  list->items.insert(list->items.end(), second.items.begin(), second.items.end());
  return list;
}

// Steps of the first list whose name the second does not have, then the second.
YamlTree joined_by_name(const YamlNode& first, const YamlNode& second) {
  YamlNode kept;
  for (const auto& item : first.items) {
    const YamlTree name = item->find("name");
    const bool replaced = std::any_of(second.items.begin(), second.items.end(), [&](const YamlTree& other) {
      const YamlTree over = other->find("name");
      return name && over && name->text == over->text;
    });
    if (!replaced) kept.items.push_back(item);
  }
  return joined(kept, second);
}

YamlTree merged(const YamlTree& base, const YamlTree& extension, const std::string& key) {
  if (base->is(Kind::list) && extension->is(Kind::list)) {
    if (key == "constraints") return joined(*base, *extension);
    if (key == "derived") return joined_by_name(*base, *extension);
  }
  if (!base->is(Kind::map) || !extension->is(Kind::map)) return extension;
  YamlTree map = make_yaml(Kind::map);
  for (std::size_t i = 0; i < base->items.size(); ++i) {
    const YamlTree over = extension->find(base->keys[i]);
    map->set(base->keys[i], over ? merged(base->items[i], over, base->keys[i]) : base->items[i]);
  }
  for (std::size_t i = 0; i < extension->items.size(); ++i) {
    if (!base->find(extension->keys[i])) map->set(extension->keys[i], extension->items[i]);
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
  if (!faults->is_map() || faults->keys().empty()) faults->fail("'none', 'all' or a map from names of faults to true or false is expected");
  for (const auto& name : faults->keys()) choice.named[name] = faults->boolean(name);
  return choice;
}

}  // namespace moeram
