#include "moeram/base/statistics.h"

#include <cmath>
#include <cstdio>

#include "moeram/base/text.h"

namespace moeram {
namespace {

std::string format(const char* pattern, double value) {
  if (std::isnan(value)) return ".nan";
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

}  // namespace

std::string to_text(const StatisticValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* single = std::get_if<float>(&value)) return format("%.9g", static_cast<double>(*single));
  if (const auto* number = std::get_if<double>(&value)) return format("%.17g", *number);
  return std::get<std::string>(value);
}

namespace {

// A value that YAML reads back as the same text.
std::string quoted(const std::string& text) {
  const std::string plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  if (!text.empty() && text.find_first_not_of(plain + "0123456789 .-/") == std::string::npos && plain.find(text.front()) != std::string::npos &&
      text.back() != ' ') {
    return text;
  }
  std::string out = "\"";
  for (const char c : printable(text)) out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "\"";
}

void append(const Component& component, bool lists, int indent, std::string& text) {
  const std::string space(static_cast<std::size_t>(indent), ' ');
  text += "impl: " + component.implementation + "\n";  // on the line that the caller began
  if (!component.id.empty()) text += space + "id: " + quoted(component.id) + "\n";
  for (const auto& [name, value] : component.statistics) text += space + name + ": " + to_text(value) + "\n";
  const std::string* list = nullptr;
  for (const auto& child : component.children) {
    const bool as_item = lists && child.repeats;
    if (!as_item || list == nullptr || *list != child.interface) text += space + child.interface + ":\n";
    list = as_item ? &child.interface : nullptr;
    text += space + (as_item ? "  - " : "  ");
    append(child, lists, indent + (as_item ? 4 : 2), text);
  }
}

}  // namespace

std::string to_text(const Component& component, bool lists) {
  std::string text = component.interface + ":\n  ";
  append(component, lists, 2, text);
  return text;
}

}  // namespace moeram
