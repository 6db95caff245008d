// A YAML document as a tree of values that know their lines, and the same tree packed into a string.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace moeram {

struct YamlNode;
// Aliases of a document share their node.
using YamlTree = std::shared_ptr<YamlNode>;

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, list, map };

  Kind kind = Kind::null;
  bool include = false;           // a scalar tagged !include
  int line = 0;                   // from 1; 0: it was made, not read
  std::string text;               // of a scalar
  std::vector<std::string> keys;  // of a map, in the file's order ...
  std::vector<YamlTree> items;    // ... and their values; or those of a list

  bool is(Kind wanted) const { return kind == wanted; }
  // The value of a key, nullptr if this is no map that has it.
  YamlTree find(std::string_view key) const;
  void set(const std::string& key, const YamlTree& value);
};

YamlTree make_yaml(YamlNode::Kind kind);

// Shipped files are packed when the library is built, so that nothing is parsed at run time. Not a format for files:
// `packed` must come from pack().
std::string pack(const YamlTree& tree);
YamlTree unpack(std::string_view packed);

}  // namespace moeram
