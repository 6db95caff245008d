#include "moeram/base/yaml_file.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

constexpr std::size_t kMostBytes = 16 << 20;
constexpr int kMostNodes = 200000;
constexpr int kMostFiles = 1000;
constexpr int kDeepest = 64;  // a nested bomb is refused before it can exhaust the stack
constexpr const char* kInclude = "!include";

std::string at_line(const std::string& name, const YAML::Node& node) { return name + ":" + std::to_string(node.Mark().line + 1) + ": "; }

// Aliases are walked as often as they are used, so that a small file of aliases of aliases is refused.
void check_tree(const YAML::Node& node, const std::string& name, bool includes, int depth, int& visits) {
  if (++visits > kMostNodes) throw ConfigError(name + ": more than " + std::to_string(kMostNodes) + " values, aliases counted as often as they are used");
  if (depth > kDeepest) throw ConfigError(name + ": nested deeper than " + std::to_string(kDeepest) + " levels");
  if (!includes && node.IsScalar() && node.Tag() == kInclude) throw PlacedError(at_line(name, node) + "!include works in files only");
  if (node.IsSequence()) {
    for (const auto& item : node) check_tree(item, name, includes, depth + 1, visits);
  }
  if (!node.IsMap()) return;
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string line = at_line(name, entry.first);
    if (!entry.first.IsScalar()) throw PlacedError(line + "a key must be a plain word");
    const std::string& key = entry.first.Scalar();
    if (key == "<<") throw PlacedError(line + "merge keys '<<' are not applied, nor are they in Ramulator 2.0; write the keys out or alias the whole map");
    if (!seen.insert(key).second) throw PlacedError(line + "key '" + printable(key) + "' stands twice");
    check_tree(entry.second, name, includes, depth + 1, visits);
  }
}

YAML::Node load_included(const YAML::Node& node, const IncludeScope& scope, int& files, std::string& file) {
  const std::string place = at_line(scope.file, node);
  file = (std::filesystem::path(scope.folder) / node.Scalar()).lexically_normal().string();
  if (++files > kMostFiles) throw PlacedError(place + "!include " + printable(node.Scalar()) + ": files include each other without end");
  try {
    const YAML::Node tree = load_yaml(read_text(file), file);
    int visits = 0;
    check_tree(tree, file, true, 0, visits);
    return tree;
  } catch (const PlacedError&) {
    throw;
  } catch (const ConfigError& error) {
    throw PlacedError(place + "!include: " + error.what());
  }
}

}  // namespace

std::string read_text(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) throw ConfigError(path + ": is a folder, a YAML file is expected");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError(path + ": no such file");
  std::string text(kMostBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMostBytes) throw ConfigError(path + ": larger than " + std::to_string(kMostBytes >> 20) + " MiB, which no configuration is");
  return text;
}

YAML::Node load_yaml(const std::string& text, const std::string& name) {
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    throw PlacedError(name + ":" + std::to_string(error.mark.line + 1) + ": not readable as YAML: " + printable(error.msg));
  }
}

void check_document(const YAML::Node& root, const std::string& name, bool includes) {
  int visits = 0;
  check_tree(root, name, includes, 0, visits);
  if (!root.IsMap()) throw ConfigError(name + ": a map of keys is expected, found " + (root.IsNull() ? "nothing" : "something else"));
}

void resolve_includes(YAML::Node tree, const IncludeScope& scope, int& files, const std::function<void(const std::string&, const std::string&)>& found,
                      int depth) {
  if (depth > kDeepest) throw ConfigError(scope.file + ": nested deeper than " + std::to_string(kDeepest) + " levels, or files include each other without end");
  const auto visit = [&](YAML::Node value, const std::string& path) {
    if (!value.IsScalar() || value.Tag() != kInclude) {
      resolve_includes(value, {scope.file, scope.folder, path}, files, found, depth + 1);
      return;
    }
    std::string file;
    const YAML::Node included = load_included(value, scope, files, file);
    found(path, file);
    resolve_includes(included, {file, std::filesystem::path(file).parent_path().string(), path}, files, found, depth + 1);
    value = included;
  };
  if (tree.IsSequence()) {
    for (std::size_t i = 0; i < tree.size(); ++i) visit(tree[i], scope.path + "[" + std::to_string(i) + "]");
  } else if (tree.IsMap()) {
    for (auto entry : tree) {
      if (entry.first.IsScalar()) visit(entry.second, scope.path.empty() ? entry.first.Scalar() : scope.path + "." + entry.first.Scalar());
    }
  }
}

}  // namespace moeram
