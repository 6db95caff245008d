// Channels with controllers of queues.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/controller/queued_controller.h"
#include "moeram/dram/standard.h"

namespace moeram {

// Channels of one standard with a `controller` section, and what a front end does with them.
class QueuedMemory {
 public:
  // `refresh`: of the refresh managers, "AllBank" or "None".
  QueuedMemory(const Standard& standard, const DeviceOptions& options, const std::string& refresh, double low_mark, double high_mark);
  const Spec& spec() const { return *spec_; }
  const QueueRules& rules() const { return *rules_; }
  std::vector<std::unique_ptr<QueuedController>>& channels() { return channels_; }
  const std::vector<std::unique_ptr<QueuedController>>& channels() const { return channels_; }
  // Only the first of channels that do the same is simulated and stands for all of them. `stand_ins`: [channel] that first one.
  void simulate_only(std::vector<int> stand_ins);
  // What did this channel's work: itself or its stand-in.
  const QueuedController& worker(int channel) const { return *channels_[static_cast<std::size_t>(stand_ins_[static_cast<std::size_t>(channel)])]; }
  const std::vector<int>& stand_ins() const { return stand_ins_; }
  std::vector<QueuedController*> simulated();
  bool is_simulated(int channel) const { return stand_ins_[static_cast<std::size_t>(channel)] == channel; }
  // Throws ConfigError: an unknown policy, or a controller whose rules exclude it.
  void share_by(const SharingOptions& options);
  const SharingPolicy* sharing() const { return sharing_.get(); }
  // Each channel takes its own feed.
  void take_from(const std::vector<std::unique_ptr<RequestFeed>>& feeds);
  void set_skip(bool skip);
  void set_fold(bool fold);
  // The same before its first cycle, without listeners and feeds.
  std::unique_ptr<QueuedMemory> again() const;
  // "<prefix>.ch<i>" for every channel.
  void record_commands(const std::string& prefix);
  bool has_listeners() const;
  void finish();  // of all listeners

 private:
  QueuedMemory() = default;
  void make_channels();
  std::shared_ptr<const Spec> spec_;
  std::shared_ptr<QueueRules> rules_;
  std::shared_ptr<const SharingPolicy> sharing_;
  std::string refresh_;
  bool fold_ = true;
  std::vector<std::unique_ptr<QueuedController>> channels_;
  std::vector<int> stand_ins_;  // [channel]
};

}  // namespace moeram
