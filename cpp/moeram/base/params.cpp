#include "moeram/base/params.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

constexpr int kMostNodes = 200000;
constexpr int kDeepest = 64;  // a nested bomb is refused before it can exhaust the stack

// Aliases are walked as often as they are used, so that a small file of aliases of aliases is refused.
void check_tree(const YAML::Node& node, const std::string& name, int depth, int& visits) {
  if (++visits > kMostNodes) throw ConfigError(name + ": more than " + std::to_string(kMostNodes) + " values, aliases counted as often as they are used");
  if (depth > kDeepest) throw ConfigError(name + ": nested deeper than " + std::to_string(kDeepest) + " levels");
  if (node.IsSequence()) {
    for (const auto& item : node) check_tree(item, name, depth + 1, visits);
  }
  if (!node.IsMap()) return;
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string line = name + ":" + std::to_string(entry.first.Mark().line + 1) + ": ";
    if (!entry.first.IsScalar()) throw ConfigError(line + "a key must be a plain word");
    if (!seen.insert(entry.first.Scalar()).second) throw ConfigError(line + "key '" + printable(entry.first.Scalar()) + "' stands twice");
    check_tree(entry.second, name, depth + 1, visits);
  }
}

}  // namespace

Params::Params(YAML::Node node, std::string path, std::shared_ptr<Document> document)
    : node_(std::move(node)), path_(std::move(path)), document_(std::move(document)) {}

Params Params::from_file(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) throw ConfigError(path + ": is a folder, a YAML file is expected");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError(path + ": no such file");
  std::ostringstream text;
  text << file.rdbuf();
  return from_text(text.str(), path);
}

Params Params::from_text(const std::string& text, const std::string& name) {
  try {
    YAML::Node node = YAML::Load(text);
    int visits = 0;
    check_tree(node, name, 0, visits);
    if (!node.IsMap()) throw ConfigError(name + ": a map of keys is expected, found " + (node.IsNull() ? "nothing" : "something else"));
    auto document = std::make_shared<Document>();
    document->name = name;
    return Params(node, "", document);
  } catch (const YAML::Exception& error) {
    throw ConfigError(name + ":" + std::to_string(error.mark.line + 1) + ": not readable as YAML: " + printable(error.msg));
  }
}

Params Params::replaced(const YAML::Node& node) const {
  auto document = std::make_shared<Document>();
  document->name = document_->name;
  return Params(node, "", document);
}

Params Params::at(const YAML::Node& node, const std::string& path) const { return Params(node, path, document_); }

bool Params::has(const std::string& key) const {
  document_->asked[path_].insert(key);
  return node_.IsMap() && node_[key].IsDefined();
}

std::vector<std::string> Params::keys() const {
  std::vector<std::string> names;
  if (!node_.IsMap()) return names;
  for (const auto& entry : node_) names.push_back(entry.first.Scalar());
  return names;
}

std::optional<Params> Params::optional_child(const std::string& key) const {
  if (!has(key)) return std::nullopt;
  const std::string path = path_.empty() ? key : path_ + "." + key;
  document_->read.insert(path);
  return at(node_[key], path);
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

bool Params::is_null() const { return node_.IsNull(); }
bool Params::is_map() const { return node_.IsMap(); }
bool Params::is_scalar() const { return node_.IsScalar(); }

std::string Params::as_text() const {
  if (!node_.IsScalar()) fail("a single value is expected");
  return node_.Scalar();
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
  if (!node_.IsSequence()) fail("a list is expected");
  std::vector<Params> items;
  for (std::size_t i = 0; i < node_.size(); ++i) {
    const std::string path = path_ + "[" + std::to_string(i) + "]";
    document_->read.insert(path);
    items.push_back(at(node_[i], path));
  }
  return items;
}

std::vector<std::string> Params::as_texts() const {
  std::vector<std::string> texts;
  for (const auto& item : as_list()) texts.push_back(item.as_text());
  return texts;
}

std::string Params::where() const {
  const auto mark = node_.Mark();
  std::string text = document_->name;
  if (mark.line >= 0) text += ":" + std::to_string(mark.line + 1);
  return path_.empty() ? text : text + ": " + path_;
}

void Params::fail(const std::string& message) const { throw ConfigError(where() + ": " + message); }

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
  if (node_.IsSequence()) {
    for (std::size_t i = 0; i < node_.size(); ++i) at(node_[i], path_ + "[" + std::to_string(i) + "]").collect_unread(out);
  }
  if (!node_.IsMap()) return;
  for (const auto& entry : node_) {
    const std::string key = entry.first.Scalar();
    const Params value = at(entry.second, path_.empty() ? key : path_ + "." + key);
    if (document_->read.contains(value.path_)) {
      value.collect_unread(out);
    } else {
      out.push_back(value);
    }
  }
}

void Params::override_value(const std::string& dotted, const std::string& value) {
  const std::string place = "-p " + dotted;
  YAML::Node here = node_;
  std::istringstream parts(dotted);
  std::string part;
  while (std::getline(parts, part, '.')) {
    const auto bracket = part.find('[');
    const std::string key = part.substr(0, bracket);
    if (key.empty() || !here.IsMap()) throw ConfigError(place + ": '" + part + "' cannot be set here");
    if (!here[key].IsDefined()) here[key] = YAML::Node(bracket == std::string::npos ? YAML::NodeType::Map : YAML::NodeType::Sequence);
    here.reset(here[key]);
    if (bracket == std::string::npos) continue;
    const bool closed = part.back() == ']';
    const std::int64_t index = closed ? parse_integer(part.substr(bracket + 1, part.size() - bracket - 2)).value_or(-1) : -1;
    const auto size = static_cast<std::int64_t>(here.size());
    if (!here.IsSequence() || index < 0 || index > size) {
      throw ConfigError(place + ": '" + part + "' needs an index from 0 to " + std::to_string(size));
    }
    if (index == size) here.push_back(YAML::Node(YAML::NodeType::Map));
    here.reset(here[static_cast<std::size_t>(index)]);
  }
  here = value;
}

}  // namespace moeram
