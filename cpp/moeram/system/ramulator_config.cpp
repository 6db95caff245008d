#include "moeram/system/ramulator_config.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/plugin/row_state_per_command.h"
#include "moeram/system/bounded_front_end.h"
#include "moeram/system/config_reading.h"
#include "moeram/system/frontends.h"
#include "moeram/system/plugins.h"

namespace moeram {
RamulatorRun::RamulatorRun(const Params& config, bool strict, const std::string& folder) : config_(config), strict_(strict), folder_(folder) {
  const FrontEndPlan front = plan_frontend(config);
  family_ = &memory_family(config);
  MemoryPlan plan = build_memory(config, *family_, front.cores, folder);
  ratio_ = {front.clock_ratio, plan.clock_ratio};
  folds_ = front.folds;
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
  if (most_cycles != kNever) {
    BoundedFrontEnd bounded(*frontend_, *memory_, most_cycles);
    moeram::run(bounded, *memory_, ratio_, {skip, false});
  } else if (!play(skip)) {
    *this = RamulatorRun(Params(config_), strict_, std::string(folder_));
    folds_ = false;
    play(skip);
  }
  finish();
}

// False: once more, without taking anything as done. 2.0's energy model may count an interval twice, from a point that lies before what was
// taken as done; and an error has to name the right cycle.
bool RamulatorRun::play(bool skip) {
  try {
    folded_ = moeram::run(*frontend_, *memory_, ratio_, {skip, folds_});
  } catch (const EngineError&) {
    if (memory_->total_cycles() == memory_->now()) throw;
    return false;
  }
  return folded_ == 0 || std::ranges::none_of(memory_->channels(), [](const auto& channel) {
           const EnergyMeter* meter = channel->device().meter();
           return meter != nullptr && meter->odd();
         });
}

double RamulatorRun::folded_share() const {
  const std::int64_t sent = memory_->accepted(kRead) + memory_->accepted(kWrite);
  return sent == 0 ? 0 : static_cast<double>(folded_) / static_cast<double>(sent);
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
