// Channels that are sent the same at the same time behave alike, since they share nothing and start alike: one stands for its class.
#pragma once

#include <cstdint>
#include <vector>

namespace moeram {

class ChannelClasses {
 public:
  explicit ChannelClasses(int channels);
  // Something is sent to just these channels, each named once: members of a class that are among them part from those that are not.
  void split(const std::vector<std::int32_t>& set);
  int class_of(std::int32_t channel) const { return class_of_[static_cast<std::size_t>(channel)]; }
  int classes() const { return static_cast<int>(size_.size()); }
  // [channel] the lowest one of its class.
  std::vector<int> stand_ins() const;

 private:
  std::vector<int> class_of_;  // [channel]
  std::vector<int> size_;      // [class]
  std::vector<int> named_, parted_;  // [class] scratch of split: members in the set, and the class that they become
};

}  // namespace moeram
