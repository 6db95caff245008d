#include "moeram/system/ramulator_config.h"

#include "moeram/plugin/row_state_per_command.h"
#include "moeram/system/bounded_front_end.h"
#include "moeram/system/config_reading.h"
#include "moeram/system/frontends.h"
#include "moeram/system/plugins.h"

namespace moeram {
RamulatorRun::RamulatorRun(const Params& config, bool strict, const std::string& folder) {
  const FrontEndPlan front = plan_frontend(config);
  family_ = &memory_family(config);
  MemoryPlan plan = build_memory(config, *family_, front.cores, folder);
  ratio_ = {front.clock_ratio, plan.clock_ratio};
  memory_ = std::move(plan.memory);
  scheduler_ = plan.scheduler;
  energy_.by_price = plan.price_commands;
  warnings_ = std::move(plan.warnings);
  if (front.made_for_hosts) warnings_.push_back("Frontend GEM5 sends nothing by itself: a run ends at once, as in Ramulator 2.0");
  check_plugins(plan.controller, memory_->spec());
  frontend_ = make_frontend(front, config, memory_->spec(), folder);
  ids_ = read_ids(config, *family_, front.has_cores);
  if (family_->counts_per_command) {
    for (auto& channel : memory_->channels()) channel->add_listener(std::make_shared<RowStatePerCommand>(memory_->spec(), front.cores));
  }
  add_plugins(plan.controller, memory_->spec(), listened_channels(*memory_), folder);
  check_unread(config, strict, warnings_);
}

void RamulatorRun::run(bool skip, Cycle most_cycles) {
  if (most_cycles == kNever) {
    moeram::run(*frontend_, *memory_, ratio_, skip);
  } else {
    BoundedFrontEnd bounded(*frontend_, *memory_, most_cycles);
    moeram::run(bounded, *memory_, ratio_, skip);
  }
  finish();
}

void RamulatorRun::finish() {
  for (auto& channel : memory_->channels()) {
    channel->row_policy().finish();
    for (const auto& listener : channel->listeners()) listener->finish();
    if (memory_->spec().power) energy_.ranks.push_back(channel->device().finish_energy(channel->now()));
  }
  frontend_->finish();
}

std::string RamulatorRun::statistics(bool lists) const {
  Component front = frontend_->describe();
  Component memory = describe_memory(*family_, *memory_, scheduler_, energy_);
  add_ids(ids_, front);
  add_ids(ids_, memory);
  return to_text(front, lists) + "\n" + to_text(memory, lists) + "\n";
}

}  // namespace moeram
