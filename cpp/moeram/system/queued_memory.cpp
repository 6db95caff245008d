#include "moeram/system/queued_memory.h"

#include <algorithm>
#include <utility>

#include "moeram/base/errors.h"
#include "moeram/plugin/command_trace.h"

namespace moeram {

QueuedMemory::QueuedMemory(const Standard& standard, const DeviceOptions& options, const std::string& refresh, double low_mark, double high_mark)
    : spec_(std::make_shared<Spec>(resolve(standard, options))), refresh_(refresh) {
  const auto section = standard.sections.find("controller");
  if (section == standard.sections.end()) {
    throw ConfigError(spec_->standard + "@" + spec_->edition + " says nothing of a controller; a standard for these runs has a section 'controller'");
  }
  rules_ = std::make_shared<QueueRules>(read_queue_rules(section->second, *spec_));
  rules_->low_mark = low_mark;
  rules_->high_mark = high_mark;
  make_channels();
}

void QueuedMemory::make_channels() {
  for (int channel = 0; channel < spec_->counts[0]; ++channel) {
    channels_.push_back(std::make_unique<QueuedController>(*spec_, *rules_, channel, refresh_));
    channels_.back()->set_fold(fold_);
    if (sharing_ != nullptr) channels_.back()->share_by(sharing_.get());
    stand_ins_.push_back(channel);
  }
}

void QueuedMemory::simulate_only(std::vector<int> stand_ins) { stand_ins_ = std::move(stand_ins); }

std::vector<QueuedController*> QueuedMemory::simulated() {
  std::vector<QueuedController*> out;
  for (auto& channel : channels_) {
    if (is_simulated(channel->channel())) out.push_back(channel.get());
  }
  return out;
}

void QueuedMemory::share_by(const SharingOptions& options) {
  sharing_ = make_sharing_policy(options, QueuedController::sharing_limits(*spec_, *rules_));
  for (auto& channel : channels_) channel->share_by(sharing_.get());
}

void QueuedMemory::take_from(const std::vector<std::unique_ptr<RequestFeed>>& feeds) {
  for (std::size_t i = 0; i < channels_.size(); ++i) channels_[i]->take_from(feeds[i].get());
}

void QueuedMemory::set_skip(bool skip) {
  for (auto& channel : channels_) channel->set_skip(skip);
}

void QueuedMemory::set_fold(bool fold) {
  fold_ = fold;
  for (auto& channel : channels_) channel->set_fold(fold);
}

std::unique_ptr<QueuedMemory> QueuedMemory::again() const {
  std::unique_ptr<QueuedMemory> memory(new QueuedMemory);
  memory->spec_ = spec_;
  memory->rules_ = rules_;
  memory->sharing_ = sharing_;
  memory->refresh_ = refresh_;
  memory->fold_ = fold_;
  memory->make_channels();
  return memory;
}

void QueuedMemory::record_commands(const std::string& prefix) {
  for (auto& channel : channels_) {
    channel->add_listener(std::make_shared<CommandTrace>(*spec_, prefix + ".ch" + std::to_string(channel->channel())));
  }
}

bool QueuedMemory::has_listeners() const {
  return std::any_of(channels_.begin(), channels_.end(), [](const auto& channel) { return !channel->listeners().empty(); });
}

void QueuedMemory::finish() {
  for (auto& channel : channels_) {
    for (const auto& listener : channel->listeners()) listener->finish();
  }
}

}  // namespace moeram
