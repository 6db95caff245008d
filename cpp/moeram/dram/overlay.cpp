#include "moeram/dram/overlay.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

using Kind = YamlNode::Kind;
using Items = std::vector<Params>;

// Both lists, but for steps of the first whose name the second has too.
Items joined(const Params& first, const Params& second, bool by_name) {
  Items out;
  const Items added = second.as_list();
  for (const auto& item : first.as_list()) {
    const YamlTree name = item.node()->find("name");
    const bool replaced = by_name && std::any_of(added.begin(), added.end(), [&](const Params& other) {
      const YamlTree over = other.node()->find("name");
      return name && over && name->text == over->text;
    });
    if (!replaced) out.push_back(item);
  }
  out.insert(out.end(), added.begin(), added.end());
  return out;
}

// One tree over another; `parts` hears where each subtree that was taken whole stands and where it came from.
class Merge {
 public:
  Params::Parts parts;

  YamlTree of(const Params& base, const Params& extension, const std::string& key, const std::string& path) {
    const auto are = [&](Kind kind) { return base.node()->is(kind) && extension.node()->is(kind); };
    if (are(Kind::list) && (key == "constraints" || key == "derived")) return list(joined(base, extension, key == "derived"), path);
    if (!are(Kind::map)) return taken(extension, path);
    YamlTree map = make_yaml(Kind::map);
    for (const auto& name : base.keys()) {
      const std::string inner = path.empty() ? name : path + "." + name;
      map->set(name, extension.has(name) ? of(base.child(name), extension.child(name), name, inner) : taken(base.child(name), inner));
    }
    for (const auto& name : extension.keys()) {
      if (!base.has(name)) map->set(name, taken(extension.child(name), path.empty() ? name : path + "." + name));
    }
    return map;
  }

 private:
  YamlTree taken(const Params& part, const std::string& path) {
    parts.emplace_back(path, part);
    return part.node();
  }
  YamlTree list(const Items& items, const std::string& path) {
    YamlTree out = make_yaml(Kind::list);
    for (const auto& item : items) out->items.push_back(taken(item, path + "[" + std::to_string(out->items.size()) + "]"));
    return out;
  }
};

}  // namespace

Params overlay(const Params& base, const Params& extension) {
  Merge merge;
  const YamlTree tree = merge.of(base, extension, "", "");
  return extension.assembled(tree, merge.parts);
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
    const YamlTree absent = make_yaml(Kind::scalar);
    absent->text = "false";
    out.node()->find("faults")->find(name)->set("present", absent);
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
