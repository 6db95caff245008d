#include "moeram/frontend/channel_classes.h"

namespace moeram {

ChannelClasses::ChannelClasses(int channels) : class_of_(static_cast<std::size_t>(channels), 0), size_{channels}, named_{0}, parted_{-1} {}

void ChannelClasses::split(const std::vector<std::int32_t>& set) {
  for (const auto channel : set) ++named_[static_cast<std::size_t>(class_of(channel))];
  for (const auto channel : set) {
    const auto old = static_cast<std::size_t>(class_of(channel));
    if (parted_[old] < 0 && named_[old] < size_[old]) {
      parted_[old] = classes();
      size_.push_back(0);
      named_.push_back(0);
      parted_.push_back(-1);
    }
    if (parted_[old] < 0) continue;
    class_of_[static_cast<std::size_t>(channel)] = parted_[old];
    ++size_[static_cast<std::size_t>(parted_[old])];
  }
  for (std::size_t i = 0; i < size_.size(); ++i) {
    if (parted_[i] >= 0) size_[i] -= named_[i];
    named_[i] = 0;
    parted_[i] = -1;
  }
}

std::vector<int> ChannelClasses::stand_ins() const {
  std::vector<int> lowest(size_.size(), -1), out;
  for (std::size_t channel = 0; channel < class_of_.size(); ++channel) {
    int& first = lowest[static_cast<std::size_t>(class_of_[channel])];
    if (first < 0) first = static_cast<int>(channel);
    out.push_back(first);
  }
  return out;
}

}  // namespace moeram
