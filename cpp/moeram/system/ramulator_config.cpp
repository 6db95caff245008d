#include "moeram/system/ramulator_config.h"

#include <algorithm>
#include <array>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/standard.h"
#include "moeram/plugin/command_counter.h"
#include "moeram/plugin/command_trace.h"
#include "moeram/system/config_reading.h"
#include "moeram/system/frontends.h"

namespace moeram {
RamulatorRun::RamulatorRun(const Params& config, bool strict, const std::string& folder) : folder_(folder) {
  implementation_of(config, "Frontend", frontend_names());
  const Params frontend = config.child("Frontend");
  const FrontEndPlan plan = plan_frontend(frontend);
  ratio_.frontend = plan.clock_ratio;
  build_memory(config, plan.cores);
  frontend_ = make_frontend(plan, frontend, memory_->spec(), folder_);
  check_unread(config, strict, warnings_);
  open_listeners(config.child("MemorySystem").child("Controller"));
}

void RamulatorRun::build_memory(const Params& config, int cores) {
  implementation_of(config, "MemorySystem", {"GenericDRAM"});
  const Params system = config.child("MemorySystem");
  ratio_.memory = read_clock_ratio(system);
  const Params dram = system.child("DRAM");
  const Standard standard = at_place(dram, [&] { return find_standard(dram.text("impl")); });
  const DeviceOptions device = at_place(dram, [&] { return read_device_options(standard, dram); });
  if (standard.sections.contains("controller")) {
    dram.child("impl").fail(standard.skeleton.standard + "@" + standard.skeleton.edition + " brings a controller of its own; the memory system GenericDRAM has another");
  }
  auto spec = std::make_shared<Spec>(at_place(dram, [&] { return resolve(standard, device); }));
  price_commands_ = device.power && !spec->power;

  const std::string mapper_name = implementation_of(system, "AddrMapper", address_mapper_names());
  auto mapper = at_place(system.child("AddrMapper"), [&] { return make_address_mapper(mapper_name, *spec); });

  if (const std::string loss = mapper_for_odd_counts(mapper_name, *spec); !loss.empty()) warnings_.push_back(system.child("AddrMapper").where() + ": " + loss);

  implementation_of(system, "Controller", {"Generic"});
  const Params controller = system.child("Controller");
  ControllerOptions options;
  options.cores = cores;
  options.write_low_watermark = static_cast<float>(read_watermark(controller, "wr_low_watermark", options.write_low_watermark));
  if (options.write_low_watermark == 0) {
    controller.child("wr_low_watermark").fail("must be above 0: at 0 write mode is never left and reads starve for ever");
  }
  options.write_high_watermark = static_cast<float>(read_watermark(controller, "wr_high_watermark", options.write_high_watermark));
  options.scheduler = implementation_of(controller, "Scheduler", scheduler_names());
  options.refresh = implementation_of(controller, "RefreshManager", refresh_manager_names());
  options.row_policy = implementation_of(controller, "RowPolicy", {"OpenRowPolicy", "ClosedRowPolicy"});
  if (options.row_policy == "ClosedRowPolicy") {
    options.row_policy_cap = controller.child("RowPolicy").integer("cap", options.row_policy_cap);
  }
  memory_ = at_place(controller, [&] { return std::make_unique<MemorySystem>(spec, std::move(mapper), options); });
  if (options.refresh == "AllBank" && spec->refresh && spec->refresh->level < 0) {
    warnings_.push_back(controller.where() + ": RefreshManager AllBank never refreshes " + spec->standard + "@" + spec->edition + ", as in Ramulator 2.0");
  }
  for (const auto& entry : controller.list("plugins")) {
    const std::string name = implementation_of(entry, "ControllerPlugin", {"TraceRecorder", "CommandCounter"});
    const Params plugin = entry.child("ControllerPlugin");
    plugin.text("path");
    if (name == "CommandCounter") plugin.child("commands_to_count").as_texts();
  }
}

// Only once everything else was found in order: these make files.
void RamulatorRun::open_listeners(const Params& controller) {
  for (const auto& entry : controller.list("plugins")) {
    const Params plugin = entry.child("ControllerPlugin");
    const std::string path = in_folder(folder_, plugin.text("path"));
    for (auto& channel : memory_->channels()) {
      channel->add_listener(at_place(plugin, [&]() -> std::shared_ptr<CommandListener> {
        if (plugin.text("impl") == "CommandCounter") {
          return std::make_shared<CommandCounter>(memory_->spec(), plugin.child("commands_to_count").as_texts(), path);
        }
        return std::make_shared<CommandTrace>(memory_->spec(), path + ".ch" + std::to_string(channel->channel()));
      }));
    }
  }
}

void RamulatorRun::run(bool skip) {
  moeram::run(*frontend_, *memory_, ratio_, skip);
  for (auto& channel : memory_->channels()) {
    for (const auto& listener : channel->listeners()) listener->finish();
    if (memory_->spec().power) energy_.push_back(channel->device().finish_energy(channel->now()));
  }
}

std::string RamulatorRun::statistics() const {
  return to_text(frontend_->describe()) + "\n" + to_text(describe_memory()) + "\n";
}

Component RamulatorRun::describe_memory() const {
  Component system{"MemorySystem", "GenericDRAM", "", {}, {}};
  system.add("total_num_other_requests", std::int64_t{0});
  system.add("total_num_write_requests", memory_->accepted(kWrite));
  system.add("total_num_read_requests", memory_->accepted(kRead));
  system.add("memory_system_cycles", memory_->now());
  system.children.push_back(describe_dram());
  system.children.push_back({"AddrMapper", memory_->mapper().name(), "", {}, {}});
  for (const auto& channel : memory_->channels()) system.children.push_back(describe_channel(*channel));
  return system;
}

Component RamulatorRun::describe_dram() const {
  const Spec& spec = memory_->spec();
  Component dram{"DRAM", spec.standard, "", {}, {}};
  const int level = spec.level("rank");
  const int ranks = level < 0 ? 0 : spec.counts[0] * spec.counts[static_cast<std::size_t>(level)];
  if (price_commands_ && spec.energy) add_command_energy(dram);
  if (energy_.empty()) {
    // 2.0 prints these without its energy model too, and then never counts them.
    for (int rank = 0; rank < ranks; ++rank) {
      for (const auto& name : spec.cycle_statistics) dram.add(name + "_rank" + std::to_string(rank), std::int64_t{0});
    }
    return dram;
  }
  RankEnergy sum;
  sum.term_nj.assign(spec.power->commands.size(), 0);
  int rank_number = 0;
  for (const auto& channel : energy_) {
    for (const auto& rank : channel) add_rank(rank, "_rank" + std::to_string(rank_number++), sum, dram);
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

// The column names the unit that the figures stand for; where that is a chip, the channel's sum stands beside it.
void RamulatorRun::add_command_energy(Component& dram) const {
  const Spec& spec = memory_->spec();
  const CommandEnergy& energy = *spec.energy;
  for (const auto& channel : memory_->channels()) {
    const EnergyReport report = price_commands(spec, channel->issued(), channel->now());
    const std::string suffix = "_nj_per_" + energy.scope + "_ch" + std::to_string(channel->channel());
    dram.add("command_energy" + suffix, report.command_nj);
    dram.add("background_energy" + suffix, report.background_nj);
    dram.add("total_energy" + suffix, report.total_nj());
    dram.add("average_power_mw_per_" + energy.scope + "_ch" + std::to_string(channel->channel()), report.average_mw);
    if (energy.scope == "chip") dram.add("total_energy_nj_per_channel_ch" + std::to_string(channel->channel()), report.total_nj() * energy.units_per_channel);
  }
}

void RamulatorRun::add_rank(const RankEnergy& rank, const std::string& suffix, RankEnergy& sum, Component& dram) const {
  dram.add("total_background_energy" + suffix, rank.background_nj());
  dram.add("total_cmd_energy" + suffix, rank.command_nj);
  dram.add("total_energy" + suffix, rank.total_nj());
  dram.add("act_background_energy" + suffix, rank.active_background_nj);
  dram.add("pre_background_energy" + suffix, rank.idle_background_nj);
  dram.add("active_cycles" + suffix, rank.active_cycles);
  dram.add("idle_cycles" + suffix, rank.idle_cycles);
  for (std::size_t i = 0; i < rank.cycle_statistics.size(); ++i) {
    dram.add(memory_->spec().power->cycle_statistics[i].name + suffix, rank.cycle_statistics[i]);
  }
  sum.active_background_nj += rank.active_background_nj;
  sum.idle_background_nj += rank.idle_background_nj;
  sum.command_nj += rank.command_nj;
  for (std::size_t i = 0; i < rank.term_nj.size(); ++i) sum.term_nj[i] += rank.term_nj[i];
}

Component RamulatorRun::describe_channel(const Controller& controller) const {
  const auto& s = controller.statistics();
  const std::string channel = "_" + std::to_string(controller.channel());
  Component out{"Controller", "Generic", "Channel " + std::to_string(controller.channel()), {}, {}};
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
  out.add("queue_len_avg" + channel, average(s.queue_length_sum, controller.now()));
  out.add("read_queue_len_avg" + channel, average(s.read_queue_length_sum, controller.now()));
  out.add("write_queue_len_avg" + channel, average(s.write_queue_length_sum, controller.now()));
  out.add("priority_queue_len_avg" + channel, average(s.priority_queue_length_sum, controller.now()));
  out.add("avg_read_latency" + channel, average(s.read_latency_sum, s.read_attempts));
  out.children.push_back({"Scheduler", controller.scheduler().name(), "", {}, {}});
  out.children.push_back({"RefreshManager", controller.refresh().name(), "", {}, {}});
  Component policy{"RowPolicy", controller.row_policy().name(), "", {}, {}};
  if (controller.row_policy().closing_requests() >= 0) policy.add("num_close_reqs", controller.row_policy().closing_requests());
  out.children.push_back(policy);
  for (const auto& listener : controller.listeners()) out.children.push_back({"ControllerPlugin", listener->name(), "", {}, {}});
  return out;
}

}  // namespace moeram
