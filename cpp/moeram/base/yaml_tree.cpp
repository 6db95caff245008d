#include "moeram/base/yaml_tree.h"

#include <algorithm>

namespace moeram {

YamlTree YamlNode::find(std::string_view key) const {
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : items[static_cast<std::size_t>(found - keys.begin())];
}

void YamlNode::set(const std::string& key, const YamlTree& value) {
  const auto found = std::find(keys.begin(), keys.end(), key);
  if (found != keys.end()) {
    items[static_cast<std::size_t>(found - keys.begin())] = value;
    return;
  }
  keys.push_back(key);
  items.push_back(value);
}

YamlTree make_yaml(YamlNode::Kind kind) {
  auto node = std::make_shared<YamlNode>();
  node->kind = kind;
  return node;
}

namespace {

// Seven bits a byte, the lowest first; the last byte has its top bit clear.
void put_number(std::size_t value, std::string& out) {
  for (; value >= 128; value >>= 7) out += static_cast<char>(128 | (value & 127));
  out += static_cast<char>(value);
}

void put_text(const std::string& text, std::string& out) {
  put_number(text.size(), out);
  out += text;
}

void put_node(const YamlNode& node, std::string& out) {
  put_number(static_cast<std::size_t>(node.kind), out);
  put_number(static_cast<std::size_t>(node.line), out);
  if (node.is(YamlNode::Kind::scalar)) put_text(node.text, out);
  if (node.is(YamlNode::Kind::list) || node.is(YamlNode::Kind::map)) put_number(node.items.size(), out);
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    if (node.is(YamlNode::Kind::map)) put_text(node.keys[i], out);
    put_node(*node.items[i], out);
  }
}

class Unpacker {
 public:
  explicit Unpacker(std::string_view packed) : rest_(packed) {}

  YamlTree node() {
    auto tree = make_yaml(static_cast<YamlNode::Kind>(number()));
    tree->line = static_cast<int>(number());
    if (tree->is(YamlNode::Kind::scalar)) tree->text = text();
    const bool map = tree->is(YamlNode::Kind::map);
    const std::size_t count = map || tree->is(YamlNode::Kind::list) ? number() : 0;
    tree->items.reserve(count);
    if (map) tree->keys.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (map) tree->keys.emplace_back(text());
      tree->items.push_back(node());
    }
    return tree;
  }

 private:
  std::size_t number() {
    std::size_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::size_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }

  std::string_view text() {
    const std::size_t size = number();
    const std::string_view found = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return found;
  }

  std::string_view rest_;
};

}  // namespace

std::string pack(const YamlTree& tree) {
  std::string out;
  put_node(*tree, out);
  return out;
}

YamlTree unpack(std::string_view packed) { return Unpacker(packed).node(); }

}  // namespace moeram
