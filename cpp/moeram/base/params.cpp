#include "moeram/base/params.h"

#include <sstream>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/base/yaml_file.h"

namespace moeram {
namespace {
using Kind = YamlNode::Kind;
}

Params::Params(YamlTree node, std::string path, std::shared_ptr<Document> document)
    : node_(std::move(node)), path_(std::move(path)), document_(std::move(document)) {}

Params Params::from_file(const std::string& path, const std::string& include_folder) {
  const YamlTree tree = load_yaml(read_text(path), path, true);
  check_document(tree, path);
  Params params = from_tree(tree, path);
  int files = 0;
  resolve_includes(tree, {path, include_folder, ""}, files, [&](const std::string& place, const std::string& file) {
    params.document_->origins[place] = {file, true, ""};
  });
  check_document(tree, path);
  return params;
}

Params Params::from_text(const std::string& text, const std::string& name) {
  const YamlTree tree = load_yaml(text, name, false);
  check_document(tree, name);
  return from_tree(tree, name);
}

Params Params::from_tree(const YamlTree& tree, const std::string& name) {
  auto document = std::make_shared<Document>();
  document->name = name;
  return Params(tree, "", document);
}

Params Params::assembled(const YamlTree& node, const Parts& parts) const {
  Params out = from_tree(node, document_->name);
  for (const auto& [path, part] : parts) out.keep_origins(path, part);
  return out;
}

void Params::keep_origins(const std::string& path, const Params& part) {
  const Origin* from = part.origin();
  if (from) {
    document_->origins[path] = *from;
  } else if (part.document_->name != document_->name) {
    document_->origins[path] = {part.document_->name, true, ""};
  }
  for (const auto& [inner, origin] : part.document_->origins) {
    if (inner.starts_with(part.path_ + ".") || inner.starts_with(part.path_ + "[")) document_->origins[path + inner.substr(part.path_.size())] = origin;
  }
}

Params Params::at(const YamlTree& node, const std::string& path) const { return Params(node, path, document_); }

bool Params::has(const std::string& key) const {
  document_->asked[path_].insert(key);
  return node_->find(key) != nullptr;
}

std::vector<std::string> Params::keys() const { return node_->keys; }

std::optional<Params> Params::optional_child(const std::string& key) const {
  document_->asked[path_].insert(key);
  const YamlTree value = node_->find(key);
  if (!value) return std::nullopt;
  const std::string path = path_.empty() ? key : path_ + "." + key;
  document_->read.insert(path);
  return at(value, path);
}

Params Params::child(const std::string& key) const {
  if (auto found = optional_child(key)) return *found;
  fail("key '" + key + "' is missing");
}

std::vector<Params> Params::list(const std::string& key) const {
  const auto found = optional_child(key);
  if (!found || found->is_null()) return {};
  return found->as_list();
}

std::string Params::text(const std::string& key) const { return child(key).as_text(); }
std::int64_t Params::integer(const std::string& key) const { return child(key).as_integer(); }
double Params::number(const std::string& key) const { return child(key).as_number(); }

bool Params::boolean(const std::string& key) const {
  const Params value = child(key);
  if (const auto parsed = parse_boolean(value.as_text())) return *parsed;
  value.fail("'" + value.as_text() + "' is not true or false");
}

std::string Params::text(const std::string& key, const std::string& otherwise) const { return has(key) ? text(key) : otherwise; }
std::int64_t Params::integer(const std::string& key, std::int64_t otherwise) const { return has(key) ? integer(key) : otherwise; }
double Params::number(const std::string& key, double otherwise) const { return has(key) ? number(key) : otherwise; }
bool Params::boolean(const std::string& key, bool otherwise) const { return has(key) ? boolean(key) : otherwise; }

bool Params::is_null() const { return node_->is(Kind::null); }
bool Params::is_map() const { return node_->is(Kind::map); }
bool Params::is_scalar() const { return node_->is(Kind::scalar); }

std::string Params::as_text() const {
  if (!node_->is(Kind::scalar)) fail("a single value is expected");
  return node_->text;
}

std::int64_t Params::as_integer() const {
  if (const auto value = parse_integer(as_text())) return *value;
  fail("'" + as_text() + "' is not a whole number");
}

double Params::as_number() const {
  if (const auto value = parse_number(as_text())) return *value;
  fail("'" + as_text() + "' is not a number");
}

std::vector<Params> Params::as_list() const {
  if (!node_->is(Kind::list)) fail("a list is expected");
  std::vector<Params> items;
  for (std::size_t i = 0; i < node_->items.size(); ++i) {
    const std::string path = path_ + "[" + std::to_string(i) + "]";
    document_->read.insert(path);
    items.push_back(at(node_->items[i], path));
  }
  return items;
}

std::vector<std::string> Params::as_texts() const {
  std::vector<std::string> texts;
  for (const auto& item : as_list()) texts.push_back(item.as_text());
  return texts;
}

// Of the nearest map or list around the value that came from elsewhere; nothing if the document's own file holds it.
const Params::Origin* Params::origin() const {
  if (document_->origins.empty()) return nullptr;
  for (std::string path = path_; !path.empty();) {
    if (const auto found = document_->origins.find(path); found != document_->origins.end()) return &found->second;
    const auto cut = path.find_last_of(".[");
    path.resize(cut == std::string::npos ? 0 : cut);
  }
  return nullptr;
}

std::string Params::where() const {
  const Origin* from = origin();
  std::string text = from ? from->name : document_->name;
  if (node_->line > 0 && (!from || from->has_lines)) text += ":" + std::to_string(node_->line);
  return path_.empty() ? text : text + ": " + path_;
}

void Params::fail(const std::string& message) const {
  std::string overrides;
  for (const auto& [path, from] : document_->origins) {
    if (from.has_lines || path == path_ || !path.starts_with(path_)) continue;
    if (message.find("'" + from.value + "'") != std::string::npos) throw PlacedError(from.name + ": " + path_ + ": " + message);
    overrides += (overrides.empty() ? " (with " : ", ") + from.name;
  }
  throw PlacedError(where() + ": " + message + (overrides.empty() ? "" : overrides + ")"));
}

std::string Params::key() const {
  const auto dot = path_.rfind('.');
  return dot == std::string::npos ? path_ : path_.substr(dot + 1);
}

std::vector<std::string> Params::asked_beside() const {
  const auto dot = path_.rfind('.');
  const auto found = document_->asked.find(dot == std::string::npos ? "" : path_.substr(0, dot));
  if (found == document_->asked.end()) return {};
  return {found->second.begin(), found->second.end()};
}

std::vector<Params> Params::unread() const {
  std::vector<Params> out;
  collect_unread(out);
  return out;
}

void Params::collect_unread(std::vector<Params>& out) const {
  for (std::size_t i = 0; i < node_->items.size(); ++i) {
    if (node_->is(Kind::list)) {
      at(node_->items[i], path_ + "[" + std::to_string(i) + "]").collect_unread(out);
      continue;
    }
    const Params value = at(node_->items[i], path_.empty() ? node_->keys[i] : path_ + "." + node_->keys[i]);
    if (document_->read.contains(value.path_)) {
      value.collect_unread(out);
    } else {
      out.push_back(value);
    }
  }
}

void Params::override_value(const std::string& dotted, const std::string& value) {
  const Origin origin{"-p " + printable(dotted + "=" + value), false, value};
  YamlTree here = node_;
  std::istringstream parts(dotted);
  std::string part;
  std::string path;
  while (std::getline(parts, part, '.')) {
    const auto bracket = part.find('[');
    const std::string key = part.substr(0, bracket);
    if (key.empty() || !here->is(Kind::map)) throw PlacedError(origin.name + ": '" + printable(part) + "' cannot be set here");
    path += (path.empty() ? "" : ".") + key;
    if (!here->find(key)) {
      here->set(key, make_yaml(bracket == std::string::npos ? Kind::map : Kind::list));
      document_->origins[path] = origin;
    }
    here = here->find(key);
    if (bracket == std::string::npos) continue;
    const bool closed = part.back() == ']';
    const std::int64_t index = closed ? parse_integer(part.substr(bracket + 1, part.size() - bracket - 2)).value_or(-1) : -1;
    const auto size = static_cast<std::int64_t>(here->items.size());
    if (!here->is(Kind::list) || index < 0 || index > size) {
      throw PlacedError(origin.name + ": '" + printable(part) + "' needs an index from 0 to " + std::to_string(size));
    }
    path += "[" + std::to_string(index) + "]";
    if (index == size) {
      here->items.push_back(make_yaml(Kind::map));
      document_->origins[path] = origin;
    }
    here = here->items[static_cast<std::size_t>(index)];
  }
  if (here->is(Kind::map) && !here->items.empty()) throw PlacedError(origin.name + ": '" + path + "' holds a map; name one of its keys");
  here->kind = Kind::scalar;
  here->text = value;
  here->items.clear();
  document_->origins[path] = origin;
}

}  // namespace moeram
