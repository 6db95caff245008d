#include "moeram/dram/spec.h"

#include <algorithm>

namespace moeram {
namespace {

template <class List, class Name>
int position(const List& list, Name name_of, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& item) { return name_of(item) == name; });
  return found == list.end() ? -1 : static_cast<int>(found - list.begin());
}

}  // namespace

int Spec::level(const std::string& name) const {
  return position(levels, [](const std::string& text) { return text; }, name);
}

int Spec::command(const std::string& name) const {
  return position(commands, [](const Command& command) { return command.name; }, name);
}

int Spec::request(const std::string& name) const {
  return position(requests, [](const RequestKind& kind) { return kind.name; }, name);
}

int Spec::nodes_at(int level) const {
  int nodes = 1;
  for (int l = 1; l <= level; ++l) nodes *= counts[static_cast<std::size_t>(l)];
  return nodes;
}

}  // namespace moeram
