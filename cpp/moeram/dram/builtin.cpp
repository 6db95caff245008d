#include <algorithm>
#include <utility>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/standard.h"

namespace moeram {

// Written by the build from configs/standards: (file name without .yaml, text).
const std::vector<std::pair<std::string, std::string>>& compiled_in_standards();

std::vector<std::string> shipped_standards() {
  std::vector<std::string> names;
  for (const auto& [name, text] : compiled_in_standards()) names.push_back(name);
  return names;
}

// A bare name means the edition of Ramulator 2.0 where there is one, else the only edition there is.
Standard find_standard(const std::string& name_or_path) {
  if (name_or_path.ends_with(".yaml") || name_or_path.ends_with(".yml")) return read_standard(Params::from_file(name_or_path));
  const bool with_edition = name_or_path.find('@') != std::string::npos;
  const std::pair<std::string, std::string>* only = nullptr;
  int editions = 0;
  for (const auto& entry : compiled_in_standards()) {
    if (entry.first == name_or_path || entry.first == name_or_path + "@2.0") {
      return read_standard(Params::from_text(entry.second, entry.first + ".yaml"));
    }
    if (!with_edition && entry.first.starts_with(name_or_path + "@")) {
      only = &entry;
      ++editions;
    }
  }
  if (editions == 1) return read_standard(Params::from_text(only->second, only->first + ".yaml"));
  throw ConfigError("DRAM standard '" + name_or_path + "' is unknown" + did_you_mean(name_or_path, shipped_standards()));
}

}  // namespace moeram
