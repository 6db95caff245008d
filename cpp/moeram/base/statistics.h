// Statistics of a run as a tree of components, printed in the shape of Ramulator 2.0's output.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace moeram {

using StatisticValue = std::variant<std::int64_t, float, double, std::string>;

struct Component {
  std::string interface;   // "MemorySystem"
  std::string implementation;
  std::string id;          // empty: not printed
  std::vector<std::pair<std::string, StatisticValue>> statistics;
  std::vector<Component> children;

  void add(const std::string& name, StatisticValue value) { statistics.emplace_back(name, std::move(value)); }
};

std::string to_text(const StatisticValue& value);  // integers plain, float %.9g, double %.17g, ".nan"
std::string to_text(const Component& component, int depth = 0);

}  // namespace moeram
