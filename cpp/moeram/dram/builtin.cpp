#include <utility>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/overlay.h"
#include "moeram/dram/standard.h"

namespace moeram {

std::string shipped_name(std::string name);  // standard_names.cpp
// Written by the build from configs/standards: (file name without .yaml, text).
const std::vector<std::pair<std::string, std::string>>& compiled_in_standards();

std::vector<std::string> shipped_standards() {
  std::vector<std::string> names;
  for (const auto& [name, text] : compiled_in_standards()) names.push_back(name);
  return names;
}

namespace {

Params find_file(const std::string& name_or_path, const std::string& preferred_edition) {
  if (name_or_path.ends_with(".yaml") || name_or_path.ends_with(".yml")) return Params::from_file(name_or_path);
  const std::string name = shipped_name(name_or_path);
  const auto read = [](const auto& entry) { return Params::from_text(entry.second, entry.first + ".yaml"); };
  const std::pair<std::string, std::string>* only = nullptr;
  std::vector<std::string> editions;
  for (const auto& entry : compiled_in_standards()) {
    if (entry.first == name || entry.first == name + "@" + preferred_edition) return read(entry);
    if (!entry.first.starts_with(name + "@")) continue;
    only = &entry;
    editions.push_back(entry.first);
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
