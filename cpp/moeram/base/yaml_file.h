// YAML from files: reading, bounds on size and depth, !include.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <string>

namespace moeram {

// All of these throw ConfigError naming file and line.
std::string read_text(const std::string& path);
YAML::Node load_yaml(const std::string& text, const std::string& name);

// A map of maps, lists and values with plain, different keys, of bounded size and depth; no merge keys, and values
// tagged !include only where `includes` allows them.
void check_document(const YAML::Node& root, const std::string& name, bool includes);

struct IncludeScope {
  std::string file;    // that holds the tree, for messages
  std::string folder;  // that relative paths count from
  std::string path;    // of the tree in the whole document
};

// Replaces every value tagged !include by the content of the file it names, included files' own includes too.
// `found(path, file)` hears of each. `files` counts them.
void resolve_includes(YAML::Node tree, const IncludeScope& scope, int& files, const std::function<void(const std::string&, const std::string&)>& found,
                      int depth = 0);

}  // namespace moeram
