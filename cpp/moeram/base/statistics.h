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
  bool repeats = false;    // there may be several beside each other

  void add(const std::string& name, StatisticValue value) { statistics.emplace_back(name, std::move(value)); }
};

std::string to_text(const StatisticValue& value);  // integers plain, float %.9g, double %.17g, ".nan"
// `lists`: components that may repeat stand in a list; otherwise their key stands as often as there are of them, as in 2.0.
std::string to_text(const Component& component, bool lists = false);

}  // namespace moeram
