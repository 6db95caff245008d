#include "moeram/base/statistics.h"

#include <cmath>
#include <cstdio>

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

std::string to_text(const Component& component, int depth) {
  const std::string outer(static_cast<std::size_t>(2 * depth), ' ');
  const std::string inner = outer + "  ";
  std::string text = outer + component.interface + ":\n" + inner + "impl: " + component.implementation + "\n";
  if (!component.id.empty()) text += inner + "id: " + component.id + "\n";
  for (const auto& [name, value] : component.statistics) text += inner + name + ": " + to_text(value) + "\n";
  for (const auto& child : component.children) text += to_text(child, depth + 1);
  return text;
}

}  // namespace moeram
