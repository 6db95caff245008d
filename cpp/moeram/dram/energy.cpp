#include "moeram/dram/energy.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {

EnergyMeter::EnergyMeter(const Spec& spec) : spec_(spec), effects_(spec.commands.size(), Effect::none), counters_(spec.commands.size(), -1) {
  const int rank_level = spec.level("rank");
  if (!spec.power || rank_level < 0) throw ConfigError(spec.standard + " has no energy model");
  const auto counter = [&](const std::string& name) {
    for (std::size_t i = 0; i < spec.power->commands.size(); ++i) {
      if (spec.power->commands[i].name == name) return static_cast<int>(i);
    }
    return -1;
  };
  const auto assign = [&](const char* command, Effect effect, const char* term = "") {
    const int id = spec.command(command);
    if (id < 0) return;
    effects_[static_cast<std::size_t>(id)] = effect;
    counters_[static_cast<std::size_t>(id)] = counter(term);
    if (*term != '\0' && counter(term) < 0) throw ConfigError("energy model of " + spec.standard + ": term " + term + " is missing");
  };
  assign("ACT", Effect::activate, "ACT");
  assign("PRE", Effect::precharge, "PRE");
  assign("PREA", Effect::precharge_all, "PRE");
  assign("PREsb", Effect::precharge_same, "PRE");
  assign("RD", Effect::count_only, "RD");
  assign("WR", Effect::count_only, "WR");
  assign("REFab", Effect::refresh, "REF");
  assign("REFab_end", Effect::refresh_end);
  assign("RFMsb", Effect::activate, "RFM");
  assign("RRFMsb", Effect::activate, "RRFM");
  assign("RFMsb_end", Effect::same_banks_refresh_end);
  assign("RRFMsb_end", Effect::same_banks_refresh_end);
  assign("VRR", Effect::activate, "VRR");
  assign("RVRR", Effect::activate, "RVRR");
  assign("VRR_end", Effect::row_refresh_end);
  assign("RVRR_end", Effect::row_refresh_end);
  groups_ = spec.level("bankgroup") < 0 ? 1 : spec.counts[static_cast<std::size_t>(spec.level("bankgroup"))];
  ranks_.resize(static_cast<std::size_t>(spec.counts[static_cast<std::size_t>(rank_level)]));
  for (auto& rank : ranks_) rank.counts.commands.assign(spec.power->commands.size(), 0);
}

void EnergyMeter::become_idle(Rank& rank, Cycle now) {
  rank.odd = rank.odd || rank.state != State::active;
  rank.counts.active_cycles += now - rank.since_active;
  rank.since_idle = now;
  rank.state = State::idle;
}

void EnergyMeter::on_command(int command, int rank_index, RankLoad load, Cycle now) {
  const Effect effect = effects_[static_cast<std::size_t>(command)];
  if (effect == Effect::none) return;
  Rank& rank = ranks_[static_cast<std::size_t>(rank_index)];
  const int counter = counters_[static_cast<std::size_t>(command)];
  if (counter >= 0) {
    const int times = effect == Effect::precharge_all ? load.open : effect == Effect::precharge_same ? load.open_same_number : 1;
    rank.counts.commands[static_cast<std::size_t>(counter)] += times;
  }
  const bool nothing_open = load.open == 0;
  switch (effect) {
    case Effect::activate:
      if (nothing_open && load.refreshing == 0) {
        rank.odd = rank.odd || rank.state != State::idle;
        rank.counts.idle_cycles += now - rank.since_idle;
        rank.since_active = now;
        rank.state = State::active;
      }
      break;
    case Effect::precharge:
      // 2.0 does not ask whether the command hits the one open bank.
      if (load.open == 1 && load.refreshing == 0) become_idle(rank, now);
      break;
    case Effect::precharge_all:
      if (!nothing_open || load.refreshing != 0) become_idle(rank, now);
      break;
    case Effect::precharge_same:
      if (load.open == load.open_same_number) become_idle(rank, now);
      break;
    case Effect::row_refresh_end:
      if (nothing_open && load.refreshing == 1) become_idle(rank, now);
      break;
    case Effect::same_banks_refresh_end:
      if (nothing_open && load.refreshing == groups_) become_idle(rank, now);
      break;
    case Effect::refresh:
      rank.odd = rank.odd || rank.state != State::idle;
      rank.counts.idle_cycles += now - rank.since_idle;
      rank.state = State::refreshing;
      break;
    case Effect::refresh_end:
      rank.since_idle = now;
      rank.state = State::idle;
      break;
    default:
      break;
  }
}

std::vector<RankCounts> EnergyMeter::counts(Cycle now) const {
  std::vector<RankCounts> out;
  for (const auto& rank : ranks_) {
    out.push_back(rank.counts);
    if (rank.state == State::idle) out.back().idle_cycles += now - rank.since_idle;
    if (rank.state == State::active) out.back().active_cycles += now - rank.since_active;
  }
  return out;
}

void EnergyMeter::take_as_done(std::span<const std::int64_t> growth, std::int64_t times) {
  auto at = growth.begin();
  for (auto& rank : ranks_) {
    rank.counts.active_cycles += times * *at++;
    rank.counts.idle_cycles += times * *at++;
    for (auto& count : rank.counts.commands) count += times * *at++;
  }
}

std::vector<RankEnergy> EnergyMeter::price(const std::vector<RankCounts>& counts) const {
  const double tck_ns = static_cast<double>(spec_.tck_ps) / 1000.0;
  const auto energy_nj = [&](double milliwatt, Cycle cycles) { return milliwatt * static_cast<double>(cycles) * tck_ns / 1000.0; };
  std::vector<RankEnergy> out;
  for (const auto& rank : counts) {
    RankEnergy energy;
    energy.active_cycles = rank.active_cycles;
    energy.idle_cycles = rank.idle_cycles;
    energy.active_background_nj = energy_nj(spec_.power->active_milliwatt, rank.active_cycles);
    energy.idle_background_nj = energy_nj(spec_.power->idle_milliwatt, rank.idle_cycles);
    for (std::size_t i = 0; i < rank.commands.size(); ++i) {
      const auto& term = spec_.power->commands[i];
      energy.term_nj.push_back(energy_nj(term.milliwatt, rank.commands[i] * term.cycles));
      energy.command_nj += energy.term_nj.back();
    }
    for (const auto& item : spec_.power->cycle_statistics) energy.cycle_statistics.push_back(rank.commands[item.counter] * item.cycles);
    out.push_back(energy);
  }
  return out;
}

bool EnergyMeter::odd() const {
  return std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.odd; });
}

void EnergyMeter::canonical(std::vector<std::int64_t>& out) const {
  for (const auto& rank : ranks_) {
    out.push_back(static_cast<std::int64_t>(rank.state));
    // Then an interval may be counted from a point in the past; two such points are equal only at the same time.
    if (rank.odd) out.insert(out.end(), {rank.since_active, rank.since_idle});
  }
}

}  // namespace moeram
