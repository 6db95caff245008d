#include "moeram/base/yaml_file.h"

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

constexpr std::size_t kMostBytes = 16 << 20;
constexpr std::size_t kPieceBytes = 1 << 16;
constexpr int kMostNodes = 200000;
constexpr int kMostFiles = 1000;
constexpr int kDeepest = 64;  // a nested bomb is refused before it can exhaust the stack
constexpr const char* kInclude = "!include";

std::string at_line(const std::string& name, int line) { return name + ":" + std::to_string(line) + ": "; }
std::string at_line(const std::string& name, const YAML::Node& node) { return at_line(name, node.Mark().line + 1); }

// Aliases are walked as often as they are used, so that a small file of aliases of aliases is refused.
void check_bounds(const std::string& name, int depth, int& visits) {
  if (++visits > kMostNodes) throw ConfigError(name + ": more than " + std::to_string(kMostNodes) + " values, aliases counted as often as they are used");
  if (depth > kDeepest) throw ConfigError(name + ": nested deeper than " + std::to_string(kDeepest) + " levels");
}

void check_tree(const YAML::Node& node, const std::string& name, bool includes, int depth, int& visits) {
  check_bounds(name, depth, visits);
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

// Copies a parsed document. A node met again where it stands in the text is an alias, which shares its copy.
class Copy {
 public:
  YamlTree of(const YAML::Node& node) {
    const auto [first, last] = copies_.equal_range(node.Mark().pos);
    for (auto same_place = first; same_place != last; ++same_place) {
      if (same_place->second.first.is(node)) return same_place->second.second;
    }
    auto copy = make_yaml(kind_of(node));
    copies_.emplace(node.Mark().pos, std::pair(node, copy));
    copy->line = node.Mark().line + 1;
    if (node.IsScalar()) copy->text = node.Scalar();
    copy->include = node.IsScalar() && node.Tag() == kInclude;
    for (const auto& entry : node) {
      if (node.IsMap()) copy->keys.push_back(entry.first.Scalar());
      copy->items.push_back(of(node.IsMap() ? entry.second : entry));
    }
    return copy;
  }

 private:
  static YamlNode::Kind kind_of(const YAML::Node& node) {
    if (node.IsScalar()) return YamlNode::Kind::scalar;
    if (node.IsSequence()) return YamlNode::Kind::list;
    return node.IsMap() ? YamlNode::Kind::map : YamlNode::Kind::null;
  }

  std::multimap<int, std::pair<YAML::Node, YamlTree>> copies_;  // by place in the text
};

void check_size(const YamlTree& tree, const std::string& name, int depth, int& visits) {
  check_bounds(name, depth, visits);
  for (const auto& item : tree->items) check_size(item, name, depth + 1, visits);
}

YamlTree load_included(const YamlTree& node, const IncludeScope& scope, int& files, std::string& file) {
  const std::string place = at_line(scope.file, node->line);
  file = (std::filesystem::path(scope.folder) / node->text).lexically_normal().string();
  if (++files > kMostFiles) throw PlacedError(place + "!include " + printable(node->text) + ": files include each other without end");
  try {
    return load_yaml(read_text(file), file, true);
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
  std::string text;
  while (file && text.size() <= kMostBytes) {
    const std::size_t before = text.size();
    text.resize(before + kPieceBytes);
    file.read(text.data() + before, kPieceBytes);
    text.resize(before + static_cast<std::size_t>(file.gcount()));
  }
  if (text.size() > kMostBytes) throw ConfigError(path + ": larger than " + std::to_string(kMostBytes >> 20) + " MiB, which no configuration is");
  return text;
}

YamlTree load_yaml(const std::string& text, const std::string& name, bool includes) {
  YAML::Node root;
  try {
    root.reset(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    throw PlacedError(at_line(name, error.mark.line + 1) + "not readable as YAML: " + printable(error.msg));
  }
  int visits = 0;
  check_tree(root, name, includes, 0, visits);
  return Copy().of(root);
}

void check_document(const YamlTree& root, const std::string& name) {
  int visits = 0;
  check_size(root, name, 0, visits);
  if (root->is(YamlNode::Kind::map)) return;
  throw ConfigError(name + ": a map of keys is expected, found " + (root->is(YamlNode::Kind::null) ? "nothing" : "something else"));
}

void resolve_includes(const YamlTree& tree, const IncludeScope& scope, int& files, const std::function<void(const std::string&, const std::string&)>& found,
                      int depth) {
  if (depth > kDeepest) throw ConfigError(scope.file + ": nested deeper than " + std::to_string(kDeepest) + " levels, or files include each other without end");
  for (std::size_t i = 0; i < tree->items.size(); ++i) {
    YamlTree& value = tree->items[i];
    const bool in_map = tree->is(YamlNode::Kind::map);
    const std::string path = !in_map ? scope.path + "[" + std::to_string(i) + "]" : scope.path.empty() ? tree->keys[i] : scope.path + "." + tree->keys[i];
    if (!value->include) {
      resolve_includes(value, {scope.file, scope.folder, path}, files, found, depth + 1);
      continue;
    }
    std::string file;
    const YamlTree included = load_included(value, scope, files, file);
    found(path, file);
    resolve_includes(included, {file, std::filesystem::path(file).parent_path().string(), path}, files, found, depth + 1);
    value = included;
  }
}

}  // namespace moeram
