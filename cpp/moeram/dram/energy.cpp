#include "moeram/dram/energy.h"

#include "moeram/base/errors.h"

namespace moeram {

EnergyMeter::EnergyMeter(const Spec& spec) : spec_(spec), effects_(spec.commands.size(), Effect::none) {
  const int rank_level = spec.level("rank");
  if (!spec.power || rank_level < 0) throw ConfigError(spec.standard + " has no energy model");
  const auto counter = [&](const char* name) {
    for (std::size_t i = 0; i < spec.power->commands.size(); ++i) {
      if (spec.power->commands[i].name == name) return static_cast<int>(i);
    }
    throw ConfigError("energy model of " + spec.standard + ": term " + name + " is missing");
  };
  const auto assign = [&](const char* command, Effect effect) {
    if (const int id = spec.command(command); id >= 0) effects_[static_cast<std::size_t>(id)] = effect;
  };
  assign("ACT", Effect::activate);
  assign("PRE", Effect::precharge);
  assign("PREA", Effect::precharge_all);
  assign("RD", Effect::read);
  assign("WR", Effect::write);
  assign("REFab", Effect::refresh);
  assign("REFab_end", Effect::refresh_end);
  counter_of_effect_ = {-1, counter("ACT"), counter("PRE"), counter("PRE"), counter("RD"), counter("WR"), counter("REF"), -1};
  ranks_.resize(static_cast<std::size_t>(spec.counts[static_cast<std::size_t>(rank_level)]));
  for (auto& rank : ranks_) rank.counts.assign(spec.power->commands.size(), 0);
}

void EnergyMeter::count(Rank& rank, Effect effect, std::int64_t times) {
  rank.counts[static_cast<std::size_t>(counter_of_effect_[static_cast<std::size_t>(effect)])] += times;
}

void EnergyMeter::become_idle(Rank& rank, Cycle now) {
  rank.energy.active_cycles += now - rank.since_active;
  rank.since_idle = now;
  rank.state = State::idle;
}

void EnergyMeter::on_command(int command, int rank_index, RankLoad load, Cycle now) {
  const Effect effect = effects_[static_cast<std::size_t>(command)];
  if (effect == Effect::none) return;
  Rank& rank = ranks_[static_cast<std::size_t>(rank_index)];
  switch (effect) {
    case Effect::activate:
      count(rank, effect, 1);
      if (load.open == 0 && load.refreshing == 0) {
        rank.energy.idle_cycles += now - rank.since_idle;
        rank.since_active = now;
        rank.state = State::active;
      }
      break;
    case Effect::precharge:
      count(rank, effect, 1);
      // 2.0 does not ask whether the command hits the one open bank.
      if (load.open == 1 && load.refreshing == 0) become_idle(rank, now);
      break;
    case Effect::precharge_all:
      count(rank, effect, load.open);
      if (load.open != 0 || load.refreshing != 0) become_idle(rank, now);
      break;
    case Effect::refresh:
      count(rank, effect, 1);
      rank.energy.idle_cycles += now - rank.since_idle;
      rank.state = State::refreshing;
      break;
    case Effect::refresh_end:
      rank.since_idle = now;
      rank.state = State::idle;
      break;
    default:
      count(rank, effect, 1);
  }
}

std::vector<RankEnergy> EnergyMeter::finish(Cycle now) {
  const double tck_ns = static_cast<double>(spec_.tck_ps) / 1000.0;
  std::vector<RankEnergy> out;
  for (auto& rank : ranks_) {
    if (rank.state == State::idle) rank.energy.idle_cycles += now - rank.since_idle;
    if (rank.state == State::active) rank.energy.active_cycles += now - rank.since_active;
    const auto energy_nj = [&](double milliwatt, Cycle cycles) { return milliwatt * static_cast<double>(cycles) * tck_ns / 1000.0; };
    rank.energy.active_background_nj = energy_nj(spec_.power->active_milliwatt, rank.energy.active_cycles);
    rank.energy.idle_background_nj = energy_nj(spec_.power->idle_milliwatt, rank.energy.idle_cycles);
    for (std::size_t i = 0; i < rank.counts.size(); ++i) {
      const auto& term = spec_.power->commands[i];
      rank.energy.command_nj += energy_nj(term.milliwatt, rank.counts[i] * term.cycles);
    }
    out.push_back(rank.energy);
  }
  return out;
}

}  // namespace moeram
