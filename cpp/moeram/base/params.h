// A YAML map as a component sees it: every read is remembered, so that what nobody read can be reported.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "moeram/base/yaml_tree.h"

namespace moeram {

// One YAML document and the name that messages give it. `document` is shared by all Params made from it.
class Params {
 public:
  // Parse a file or a text; ConfigError with file and line on malformed YAML, duplicate keys or a missing file.
  // A value tagged !include in a file is replaced by the file that it names: relative to `include_folder` ("": the
  // working directory) in the file at `path`, relative to their own folder in included files, as Ramulator 2.0 does.
  static Params from_file(const std::string& path, const std::string& include_folder = "");
  static Params from_text(const std::string& text, const std::string& name);

  // Of a document that load_yaml() read.
  static Params from_tree(const YamlTree& tree, const std::string& name);

  bool has(const std::string& key) const;
  std::vector<std::string> keys() const;

  // Required children and values; a ConfigError names file, line, key path and what was expected.
  Params child(const std::string& key) const;
  std::optional<Params> optional_child(const std::string& key) const;
  std::vector<Params> list(const std::string& key) const;
  std::string text(const std::string& key) const;
  std::int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;
  bool boolean(const std::string& key) const;

  std::string text(const std::string& key, const std::string& otherwise) const;
  std::int64_t integer(const std::string& key, std::int64_t otherwise) const;
  double number(const std::string& key, double otherwise) const;
  bool boolean(const std::string& key, bool otherwise) const;

  // This node itself as a value.
  bool is_null() const;
  bool is_map() const;
  bool is_scalar() const;
  std::string as_text() const;
  std::int64_t as_integer() const;
  double as_number() const;
  std::vector<Params> as_list() const;
  std::vector<std::string> as_texts() const;

  // "config.yaml:12: MemorySystem.DRAM"; where an override set the value "-p a.b=c: a.b"
  std::string where() const;
  // PlacedError. Of a value below this one that an override set the message names the override.
  [[noreturn]] void fail(const std::string& message) const;

  // Keys of this map and of all maps below it that were never read, as Params of their values.
  std::vector<Params> unread() const;
  // The keys that were asked for beside this one: what is allowed in its map.
  std::vector<std::string> asked_beside() const;
  const std::string& path() const { return path_; }
  // For building one document from others.
  const YamlTree& node() const { return node_; }
  // A document of this one's name; each part says what stands at a path in it and keeps the file and the override that it came from.
  using Parts = std::vector<std::pair<std::string, Params>>;
  Params assembled(const YamlTree& node, const Parts& parts) const;
  std::string key() const;

  // Set the scalar at `dotted` ("a.b[0].c"), making maps on the way; ConfigError on a bad index.
  void override_value(const std::string& dotted, const std::string& value);

 private:
  struct Origin {
    std::string name;   // an included file or "-p KEY=VALUE"
    bool has_lines = true;
    std::string value;  // of an override
  };
  struct Document {
    std::string name;
    std::set<std::string> read;   // key paths
    std::map<std::string, std::set<std::string>> asked;  // path of a map: keys that somebody asked for
    std::map<std::string, Origin> origins;  // of the paths whose values come from elsewhere
  };
  const Origin* origin() const;
  void keep_origins(const std::string& path, const Params& part);
  Params(YamlTree node, std::string path, std::shared_ptr<Document> document);
  Params at(const YamlTree& node, const std::string& path) const;
  void collect_unread(std::vector<Params>& out) const;

  YamlTree node_;
  std::string path_;
  std::shared_ptr<Document> document_;
};

}  // namespace moeram
