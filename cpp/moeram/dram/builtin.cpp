#include "moeram/dram/compiled_in.h"

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/overlay.h"
#include "moeram/dram/standard.h"

namespace moeram {

std::string shipped_name(std::string name);  // standard_names.cpp

std::vector<std::string> shipped_standards() {
  std::vector<std::string> names;
  for (const auto& entry : compiled_in_standards()) names.emplace_back(entry.name);
  return names;
}

namespace {

Params find_file(const std::string& name_or_path, const std::string& preferred_edition) {
  if (name_or_path.ends_with(".yaml") || name_or_path.ends_with(".yml")) return Params::from_file(name_or_path);
  const std::string name = shipped_name(name_or_path);
  const auto read = [](const CompiledIn& entry) { return Params::from_tree(unpack(entry.packed), std::string(entry.name) + ".yaml"); };
  const CompiledIn* only = nullptr;
  std::vector<std::string> editions;
  for (const auto& entry : compiled_in_standards()) {
    if (entry.name == name || entry.name == name + "@" + preferred_edition) return read(entry);
    if (!entry.name.starts_with(name + "@")) continue;
    only = &entry;
    editions.emplace_back(entry.name);
  }
  if (editions.size() == 1) return read(*only);
  if (!editions.empty()) throw ConfigError("DRAM standard '" + name_or_path + "' has several editions, name one: " + join(editions, ", "));
  throw ConfigError("DRAM standard '" + name_or_path + "' is unknown" + did_you_mean(name_or_path, shipped_standards()));
}

constexpr int kMostBases = 8;

Params with_base(const Params& file, int depth) {
  const auto base = file.optional_child("extends");
  if (!base) return file;
  if (depth == kMostBases) base->fail("extends itself, or more than " + std::to_string(kMostBases) + " standards in a row");
  return overlay(with_base(find_file(base->as_text(), "2.0"), depth + 1), file);
}

}  // namespace

Standard find_standard(const std::string& name_or_path, const std::string& preferred_edition, const FaultChoice& faults) {
  return read_standard(without_faults(with_base(find_file(name_or_path, preferred_edition), 0), faults));
}

}  // namespace moeram
