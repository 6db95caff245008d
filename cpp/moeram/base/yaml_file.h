// YAML from texts and files: reading, bounds on size and depth, !include.
#pragma once

#include <functional>
#include <string>

#include "moeram/base/yaml_tree.h"

namespace moeram {

// All of these throw ConfigError naming file and line.
std::string read_text(const std::string& path);

// Maps of maps, lists and values with plain, different keys, of bounded size and depth; no merge keys, and values
// tagged !include only where `includes` allows them.
YamlTree load_yaml(const std::string& text, const std::string& name, bool includes);

// A whole document is a map, of bounded size and depth; what it includes counts.
void check_document(const YamlTree& root, const std::string& name);

struct IncludeScope {
  std::string file;    // that holds the tree, for messages
  std::string folder;  // that relative paths count from
  std::string path;    // of the tree in the whole document
};

// Replaces every value tagged !include by the content of the file it names, included files' own includes too.
// `found(path, file)` hears of each. `files` counts them.
void resolve_includes(const YamlTree& tree, const IncludeScope& scope, int& files, const std::function<void(const std::string&, const std::string&)>& found,
                      int depth = 0);

}  // namespace moeram
