#include "moeram/system/report.h"

#include <algorithm>
#include <array>

namespace moeram {
namespace {

void add_rank(const PowerModel& power, const RankEnergy& rank, const std::string& suffix, RankEnergy& sum, Component& dram) {
  dram.add("total_background_energy" + suffix, rank.background_nj());
  dram.add("total_cmd_energy" + suffix, rank.command_nj);
  dram.add("total_energy" + suffix, rank.total_nj());
  dram.add("act_background_energy" + suffix, rank.active_background_nj);
  dram.add("pre_background_energy" + suffix, rank.idle_background_nj);
  dram.add("active_cycles" + suffix, rank.active_cycles);
  dram.add("idle_cycles" + suffix, rank.idle_cycles);
  for (std::size_t i = 0; i < rank.cycle_statistics.size(); ++i) {
    dram.add(power.cycle_statistics[i].name + suffix, rank.cycle_statistics[i]);
  }
  sum.active_background_nj += rank.active_background_nj;
  sum.idle_background_nj += rank.idle_background_nj;
  sum.command_nj += rank.command_nj;
  for (std::size_t i = 0; i < rank.term_nj.size(); ++i) sum.term_nj[i] += rank.term_nj[i];
}

Component describe_dram(const MemorySystem& memory, const MemoryEnergy& energy) {
  const Spec& spec = memory.spec();
  Component dram{"DRAM", spec.standard, "", {}, {}};
  const int level = spec.level("rank");
  const int ranks = level < 0 ? 0 : spec.counts[0] * spec.counts[static_cast<std::size_t>(level)];
  for (const auto& channel : memory.channels()) {
    if (energy.by_price && spec.energy) add_command_energy(spec, channel->channel(), channel->issued(), channel->total_cycles(), false, dram);
  }
  if (energy.ranks.empty()) {
    // 2.0 prints these without its energy model too, and then never counts them.
    for (int rank = 0; rank < ranks; ++rank) {
      for (const auto& name : spec.cycle_statistics) dram.add(name + "_rank" + std::to_string(rank), std::int64_t{0});
    }
    return dram;
  }
  RankEnergy sum;
  sum.term_nj.assign(spec.power->commands.size(), 0);
  int rank_number = 0;
  for (const auto& channel : energy.ranks) {
    for (const auto& rank : channel) add_rank(*spec.power, rank, "_rank" + std::to_string(rank_number++), sum, dram);
  }
  dram.add("total_background_energy", sum.background_nj());
  dram.add("total_cmd_energy", sum.command_nj);
  dram.add("total_energy", sum.total_nj());
  for (std::size_t i = 0; i < sum.term_nj.size(); ++i) {
    std::string name = spec.power->commands[i].name;
    if (!name.ends_with("RFM") && !name.ends_with("VRR")) continue;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    dram.add("total_" + name + "_energy", sum.term_nj[i]);
  }
  return dram;
}

void add_controller_statistics(const Controller& controller, Component& out) {
  const auto& s = controller.statistics();
  const std::string channel = "_" + std::to_string(controller.channel());
  // Averages are single-precision quotients; 0/0 prints .nan.
  const auto average = [](std::int64_t sum, std::int64_t count) { return static_cast<float>(sum) / static_cast<float>(count); };
  const std::array<std::pair<const char*, std::int64_t>, 17> counts = {{
      {"row_hits", s.row_hits}, {"row_misses", s.row_misses}, {"row_conflicts", s.row_conflicts},
      {"read_row_hits", s.read_row_hits}, {"read_row_misses", s.read_row_misses}, {"read_row_conflicts", s.read_row_conflicts},
      {"write_row_hits", s.write_row_hits}, {"write_row_misses", s.write_row_misses}, {"write_row_conflicts", s.write_row_conflicts},
      {"num_read_reqs", s.read_attempts}, {"num_write_reqs", s.write_attempts}, {"num_other_reqs", s.other_attempts},
      {"queue_len", s.queue_length_sum}, {"read_queue_len", s.read_queue_length_sum}, {"write_queue_len", s.write_queue_length_sum},
      {"priority_queue_len", s.priority_queue_length_sum}, {"read_latency", s.read_latency_sum}}};
  for (const auto& [name, value] : counts) out.add(name + channel, value);
  for (std::size_t core = 0; core < s.core_row_hits.size(); ++core) {
    const std::string suffix = "_core_" + std::to_string(core);
    out.add("read_row_hits" + suffix, s.core_row_hits[core]);
    out.add("read_row_misses" + suffix, s.core_row_misses[core]);
    out.add("read_row_conflicts" + suffix, s.core_row_conflicts[core]);
  }
  out.add("queue_len_avg" + channel, average(s.queue_length_sum, controller.total_cycles()));
  out.add("read_queue_len_avg" + channel, average(s.read_queue_length_sum, controller.total_cycles()));
  out.add("write_queue_len_avg" + channel, average(s.write_queue_length_sum, controller.total_cycles()));
  out.add("priority_queue_len_avg" + channel, average(s.priority_queue_length_sum, controller.total_cycles()));
  out.add("avg_read_latency" + channel, average(s.read_latency_sum, s.read_attempts));
}

Component describe_channel(const MemoryFamily& family, const Controller& controller, const std::string& scheduler) {
  Component out{family.controller_key, family.controller, "Channel " + std::to_string(controller.channel()), {}, {}, true};
  if (!family.counts_per_command) add_controller_statistics(controller, out);
  out.children.push_back({family.scheduler_key, scheduler, "", {}, {}});
  out.children.push_back({"RefreshManager", controller.refresh().name(), "", {}, {}});
  Component policy{"RowPolicy", controller.row_policy().name(), "", {}, {}};
  if (controller.row_policy().closing_requests() >= 0) policy.add("num_close_reqs", controller.row_policy().closing_requests());
  controller.row_policy().describe(policy);
  out.children.push_back(policy);
  for (const auto& listener : controller.listeners()) {
    if (listener->is_part_of_controller()) {
      listener->describe(out);
      continue;
    }
    Component plugin{"ControllerPlugin", listener->name(), "", {}, {}, true};
    listener->describe(plugin);
    out.children.push_back(plugin);
  }
  return out;
}

}  // namespace

// The names say which unit the figures stand for; where that is a chip, the channel's sum stands beside it.
void add_command_energy(const Spec& spec, int channel, const std::vector<std::int64_t>& issued, Cycle ticks, bool by_command, Component& dram) {
  const CommandEnergy& energy = *spec.energy;
  const EnergyReport report = price_commands(spec, issued, ticks);
  const std::string unit = "_per_" + energy.scope + "_ch" + std::to_string(channel);
  dram.add("command_energy_nj" + unit, report.command_nj);
  for (std::size_t command = 0; by_command && command < issued.size(); ++command) {
    if (issued[command] > 0) dram.add("energy_of_" + spec.commands[command].name + "_nj" + unit, report.by_command_nj[command]);
  }
  dram.add("background_energy_nj" + unit, report.background_nj);
  dram.add("total_energy_nj" + unit, report.total_nj());
  dram.add("average_power_mw" + unit, report.average_mw);
  if (energy.scope == "chip") dram.add("total_energy_nj_per_channel_ch" + std::to_string(channel), report.total_nj() * energy.units_per_channel);
}

Component describe_memory(const MemoryFamily& family, const MemorySystem& memory, const std::string& scheduler, const MemoryEnergy& energy) {
  Component system{"MemorySystem", family.implementation, "", {}, {}};
  system.add("total_num_other_requests", std::int64_t{0});
  system.add("total_num_write_requests", memory.accepted(kWrite));
  system.add("total_num_read_requests", memory.accepted(kRead));
  system.add("memory_system_cycles", memory.total_cycles());
  system.children.push_back(describe_dram(memory, energy));
  system.children.push_back({"AddrMapper", memory.mapper().name(), "", {}, {}});
  for (const auto& channel : memory.channels()) system.children.push_back(describe_channel(family, *channel, scheduler));
  return system;
}

ComponentIds read_ids(const Params& config, const MemoryFamily& family, bool has_cores) {
  ComponentIds ids;
  const auto read = [&](const Params& parent, const std::string& interface, const std::string& name) {
    const auto node = parent.optional_child(interface);
    if (!node || !node->is_map()) return;
    const std::string id = node->text("id", "_default_id");
    if (id != "_default_id") ids[name] = id;
  };
  for (const auto& name : {"Frontend", "MemorySystem"}) read(config, name, name);
  // Trace front ends have no translation: there the key is one that 2.0 ignores.
  if (has_cores) read(config.child("Frontend"), "Translation", "Translation");
  const Params system = config.child("MemorySystem");
  for (const auto& name : {"DRAM", "AddrMapper"}) read(system, name, name);
  const Params controller = system.child(family.controller_key);
  controller.text("id", "");  // controllers are called by their channel
  for (const auto& name : {family.scheduler_key, std::string("RefreshManager"), std::string("RowPolicy")}) read(controller, name, name);
  int plugin = 0;
  for (const auto& entry : controller.list("plugins")) read(entry, "ControllerPlugin", "ControllerPlugin " + std::to_string(plugin++));
  return ids;
}

void add_ids(const ComponentIds& ids, Component& component, int plugin) {
  const std::string name = component.interface + (plugin < 0 ? "" : " " + std::to_string(plugin));
  if (const auto id = ids.find(name); id != ids.end()) component.id = id->second;
  int plugins = 0;
  for (auto& child : component.children) add_ids(ids, child, child.interface == "ControllerPlugin" ? plugins++ : -1);
}

}  // namespace moeram
