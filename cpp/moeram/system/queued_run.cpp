#include "moeram/system/queued_run.h"

#include <algorithm>
#include <map>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/frontend/instruction_trace.h"
#include "moeram/frontend/operation_trace.h"
#include "moeram/system/config_reading.h"
#include "moeram/system/frontends.h"
#include "moeram/system/instruction_run.h"
#include "moeram/system/plugins.h"
#include "moeram/system/ramulator_config.h"
#include "moeram/system/report.h"
#include "moeram/system/request_stream.h"

namespace moeram {
namespace {

// The names that a simulator gives to its parts.
struct Dialect {
  std::string simulator;
  std::string frontend;
  std::map<std::string, std::string> standards;  // DRAM.impl -> name of a shipped standard
  std::string controller, scheduler;
  std::map<std::string, std::string> refresh;    // RefreshManager.impl -> ours
  std::vector<std::string> mappers;
  PluginDialect plugins;
};

const std::map<std::string, Dialect>& dialects() {
  static const std::map<std::string, Dialect> all = {
      {"PIMDRAM",
       {"the AttAcc simulator", "PIMLoadStoreTrace", {{"HBM3-PIM", "HBM3@attacc"}}, "HBM3-PIM", "PIM", {{"AllBankHBM3", "AllBank"}, {"No", "None"}},
        {"HBM3-PIM", "HBM3-PIM-Custom"}, {{{"HBM3TraceRecorder", "TraceRecorder"}}, true}}},
      {"AiMDRAM",
       {"the AiM simulator", "AiMTrace", {{"GDDR6", "GDDR6@aim"}}, "AiM", "FRFCFS", {{"AllBank", "AllBank"}, {"No", "None"}},
        {"RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR", "RoBaRaCoChMixed", "ChRaBaRoCoMixed"}, {{}, true}}}};
  return all;
}

std::string one_of(const Params& parent, const std::string& interface, const std::map<std::string, std::string>& names) {
  std::vector<std::string> allowed;
  for (const auto& [name, ours] : names) allowed.push_back(name);
  return names.at(implementation_of(parent, interface, allowed));
}

// A shipped standard by the simulator's name for it, any standard by edition, or a file.
std::string standard_of(const Params& dram, const Dialect& dialect) {
  const std::string name = dram.text("impl");
  if (const auto found = dialect.standards.find(name); found != dialect.standards.end()) return found->second;
  if (name.find('@') != std::string::npos || name.ends_with(".yaml") || name.ends_with(".yml")) return name;
  std::vector<std::string> allowed;
  for (const auto& [known, ours] : dialect.standards) allowed.push_back(known);
  dram.child("impl").fail("DRAM '" + name + "' is unknown" + did_you_mean(name, allowed));
}

// What an instruction asks for must have a queue.
void check_requests(const Params& operations, const Spec& spec, const QueueRules& rules) {
  for (const auto& words : operations.keys()) {
    Params entry = operations.child(words);
    if (entry.is_map()) {
      if (!entry.has("request")) continue;
      entry = entry.child("request");
    }
    const int kind = spec.request(entry.as_text());
    if (kind >= 0 && rules.queue_of_kind[static_cast<std::size_t>(kind)] < 0) entry.fail("request '" + entry.as_text() + "' enters no queue of the controller");
  }
}

}  // namespace

QueuedRun::QueuedRun(const Params& config, bool strict, const std::string& folder) : folder_(folder) {
  std::vector<std::string> systems;
  for (const auto& [name, dialect] : dialects()) systems.push_back(name);
  dialect_ = implementation_of(config, "MemorySystem", systems);
  read_memory(config);
  read_frontend(config);
  add_plugins(config.child("MemorySystem").child("Controller"), memory_->spec(), listened_channels(*memory_), folder_, dialects().at(dialect_).plugins);
  check_unread(config, strict, warnings_, reference_);
}

void QueuedRun::read_memory(const Params& config) {
  const Dialect& dialect = dialects().at(dialect_);
  const Params system = config.child("MemorySystem");
  ratio_.memory = read_clock_ratio(system);
  const Params dram = system.child("DRAM");
  standard_ = std::make_unique<Standard>(at_place(dram, [&] {
    const std::string name = standard_of(dram, dialect);
    const bool follows = std::any_of(dialect.standards.begin(), dialect.standards.end(), [&](const auto& known) { return known.second == name; });
    if (follows) reference_ = dialect.simulator;
    const bool is_file = name.ends_with(".yaml") || name.ends_with(".yml");
    return find_standard(is_file ? in_folder(folder_, name) : name, "2.0", read_fault_choice(dram));
  }));
  const DeviceOptions options = at_place(dram, [&] { return read_device_options(*standard_, dram); });
  priced_ = options.power;
  implementation_of(system, "Controller", {dialect.controller});
  const Params controller = system.child("Controller");
  implementation_of(controller, "Scheduler", {dialect.scheduler});
  const std::string refresh = one_of(controller, "RefreshManager", dialect.refresh);
  const double low = read_watermark(controller, "wr_low_watermark", 0.2);
  const double high = read_watermark(controller, "wr_high_watermark", 0.8);
  memory_ = at_place(dram, [&] { return std::make_unique<QueuedMemory>(*standard_, options, refresh, low, high); });
  if (refresh == "AllBank" && memory_->spec().refresh && memory_->spec().refresh->level < 0) {
    warnings_.push_back(controller.where() + ": RefreshManager AllBank never refreshes " + memory_->spec().standard + "@" + memory_->spec().edition +
                        ", as in " + (reference_.empty() ? "the simulator that it follows" : reference_));
  }
  if (const auto sharing = controller.optional_child("Sharing")) {
    const SharingOptions wanted = read_sharing(*sharing);
    at_place(*sharing, [&] { return memory_->share_by(wanted), 0; });
    const auto frontend = config.optional_child("Frontend");
    if (frontend && frontend->is_map() && !frontend->has("Host")) {
      warnings_.push_back(sharing->where() + ": no ordinary requests stand beside the program (Frontend.Host); the policy orders the program's own reads and writes alone");
    }
  }
  check_plugins(controller, memory_->spec(), dialect.plugins);
  const std::string mapper = implementation_of(system, "AddrMapper", dialect.mappers);
  mapper_ = at_place(system.child("AddrMapper"), [&] { return make_address_mapper(mapper, memory_->spec()); });
}

void QueuedRun::read_frontend(const Params& config) {
  const Dialect& dialect = dialects().at(dialect_);
  implementation_of(config, "Frontend", {dialect.frontend});
  const Params frontend = config.child("Frontend");
  ratio_.frontend = read_clock_ratio(frontend);
  if (frontend.has("Translation")) {
    implementation_of(frontend, "Translation", {"NoTranslation"});
    frontend.child("Translation").integer("max_addr", 0);
  }
  const auto section = standard_->sections.find("instructions");
  if (section == standard_->sections.end()) throw ConfigError(memory_->spec().standard + "@" + memory_->spec().edition + " has no section 'instructions'");
  if (const auto host = frontend.optional_child("Host")) {
    if (memory_->sharing() == nullptr) host->fail("ordinary requests beside a program need MemorySystem.Controller.Sharing");
    host_ = std::make_unique<HostTraffic>(*host, memory_->spec(), *mapper_, folder_);
  }
  reuse_ = frontend.boolean("reuse_identical_channels", true);
  const std::string path = in_folder(folder_, frontend.text("path"));
  check_requests(section->second.child("operations"), memory_->spec(), memory_->rules());
  const auto found_unit = standard_->sections.find("unit");
  const std::optional<Params> unit = found_unit == standard_->sections.end() ? std::nullopt : std::optional(found_unit->second);
  if (dialect_ == "PIMDRAM") {
    auto trace = std::make_shared<OperationTrace>(path, section->second, unit, memory_->spec(), *mapper_);
    play_ = [this, trace, path](QueuedMemory& memory) {
      trace->rewind();
      if (may_reuse(memory)) {
        memory.simulate_only(trace->stand_ins());
        trace->send_only_to(memory.stand_ins());
      }
      try {
        return play_operations(*trace, memory);
      } catch (const EngineError& error) {
        throw EngineError(path + ": " + error.what());
      }
    };
    return;
  }
  memory_->set_fold(frontend.boolean("fold", true));
  const std::string delimiter = frontend.text("delimiter", " ");
  if (delimiter != " " && delimiter != ",") frontend.child("delimiter").fail("' ' or ',' is expected");
  const Params controller = config.child("MemorySystem").child("Controller");
  const std::int64_t ratio = controller.has("clock_ratio") ? read_clock_ratio(controller) : 1;
  set_ = std::make_unique<InstructionSet>(read_instruction_set(section->second, unit, memory_->spec()));
  trace_ = read_instruction_trace(path, *set_, delimiter.front());
  play_ = [this, ratio](QueuedMemory& memory) {
    if (may_reuse(memory)) memory.simulate_only(trace_.stand_ins(memory.spec().counts[0]));
    return play_instructions(*set_, trace_, memory, ratio_, ratio, most_cycles_);
  };
}

// Listeners want every channel, and ordinary requests are each channel's own.
bool QueuedRun::may_reuse(const QueuedMemory& memory) const { return reuse_ && host_ == nullptr && !memory.has_listeners(); }

// Accepted requests by kind; fences are not counted.
QueuedResult QueuedRun::play_operations(RequestSource& source, QueuedMemory& memory) const {
  const StreamResult stream = run_stream(source, memory, ratio_, most_cycles_);
  QueuedResult result;
  result.cycles = stream.cycles;
  const auto& requests = memory_->spec().requests;
  for (std::size_t kind = 0; kind < requests.size(); ++kind) {
    std::string name = requests[kind].name;
    std::replace(name.begin(), name.end(), '-', '_');
    const bool refresh = memory_->spec().commands[static_cast<std::size_t>(requests[kind].command)].refreshing;
    if (!memory_->rules().fence[kind] && !refresh) result.totals.emplace_back("total_num_" + std::string(kind > kWrite ? "pim_" : "") + name + "_requests", stream.accepted[kind]);
  }
  result.totals.emplace_back("total_num_other_requests", 0);
  return result;
}

void QueuedRun::run(bool skip, Cycle most_cycles) {
  most_cycles_ = most_cycles;
  memory_->set_skip(skip);
  if (host_ != nullptr) {
    run_both(skip);
  } else {
    result_ = play(*memory_);
  }
  memory_->finish();
}

// Where the sides do not exclude each other, a program's end may come before the ordinary requests that it sent.
QueuedResult QueuedRun::play(QueuedMemory& memory) const {
  QueuedResult result = play_(memory);
  if (memory.sharing() == nullptr) return result;
  for (QueuedController* channel : memory.simulated()) result.cycles = std::max(result.cycles, channel->run_until_drained());
  return result;
}

void QueuedRun::lower(const ProgramCheck::Sink& sink) const {
  if (!set_) throw ConfigError("only programs of instructions can be lowered; " + dialect_ + " takes addresses");
  ProgramCheck check(*set_);
  for (const auto& instruction : trace_.instructions) check.take(instruction, trace_.text_of(instruction), sink);
}

Turns QueuedRun::run_turns(std::int64_t most, bool fold) {
  if (!set_) throw ConfigError("turns are of a trace of instructions; " + dialect_ + " has none");
  return play_turns(*set_, trace_, *memory_, most, fold);
}

void QueuedRun::run_both(bool skip) {
  feeds_ = host_->feeds();
  memory_->take_from(feeds_);
  result_ = play(*memory_);
  most_cycles_ = kNever;  // a bound for the sides together
  Cycle program_end = 0, host_end = 0;
  for (auto& channel : memory_->channels()) program_end = std::max(program_end, channel->now());
  for (auto& channel : memory_->channels()) host_end = std::max(host_end, host_->endless() ? channel->now() : channel->run_until_fed());
  shared_ = describe_together(*memory_, program_end, host_end);
  run_alone(skip, program_end);
}

// The program and the host's requests once more, each on a memory of its own.
void QueuedRun::run_alone(bool skip, Cycle together) {
  const auto units = memory_->again(), host = memory_->again();
  units->set_skip(skip);
  play(*units);
  SideResult& of_units = shared_->sides[index_of(Side::units)];
  for (const auto& channel : units->channels()) {
    of_units.cycles_alone = std::max(of_units.cycles_alone, channel->now());
    of_units.requests_alone += channel->statistics().sides[index_of(Side::units)].completed;
  }
  const auto feeds = host_->feeds();
  host->set_skip(skip);
  host->take_from(feeds);
  SideResult& of_host = shared_->sides[index_of(Side::host)];
  for (const auto& channel : host->channels()) {
    if (host_->endless()) channel->run_until(together);
    of_host.cycles_alone = std::max(of_host.cycles_alone, host_->endless() ? together : channel->run_until_fed());
    of_host.requests_alone += channel->statistics().fed;
  }
}

QueuedRun::Named QueuedRun::command_counts(const QueuedController& channel) const {
  Named counts;
  for (std::size_t i = 0; i < memory_->spec().commands.size(); ++i) {
    if (const auto count = channel.statistics().issued[i]; count > 0) counts.emplace_back(memory_->spec().commands[i].name, count);
  }
  return counts;
}

// Of simulators whose channels say where their time goes.
QueuedRun::Named QueuedRun::cycle_statistics(const QueuedController& channel) const {
  if (!set_) return {};
  const auto& s = channel.statistics();
  Named cycles{{"active_cycles", s.row_open}, {"precharged_cycles", s.rows_closed}, {"idle_cycles", s.idle}};
  for (std::size_t kind = 0; kind < set_->cycle_names.size(); ++kind) {
    if (!set_->cycle_names[kind].empty()) cycles.emplace_back(set_->cycle_names[kind] + "_cycles", s.cycles[kind]);
  }
  return cycles;
}

std::string QueuedRun::statistics(bool lists) const {
  const Spec& spec = memory_->spec();
  Component system{"MemorySystem", dialect_, "", {}, {}};
  for (const auto& [name, value] : result_.totals) system.add(name, value);
  system.add("memory_system_cycles", result_.cycles);
  Component dram{"DRAM", spec.standard + "@" + spec.edition, "", {}, {}};
  for (int channel = 0; channel < spec.counts[0]; ++channel) {
    const QueuedController& worker = memory_->worker(channel);
    if (priced_) add_command_energy(spec, channel, worker.statistics().issued, worker.now(), true, dram);
  }
  system.children.push_back(dram);
  for (int channel = 0; channel < spec.counts[0]; ++channel) {
    const QueuedController& worker = memory_->worker(channel);
    Component out{"Controller", dialects().at(dialect_).controller, "Channel " + std::to_string(channel), {}, {}, true};
    for (const auto& [name, value] : command_counts(worker)) out.add("num_" + name + "_commands", value);
    for (const auto& [name, value] : cycle_statistics(worker)) out.add(name, value);
    for (const auto& listener : worker.listeners()) {
      Component plugin{"ControllerPlugin", listener->name(), "", {}, {}, true};
      listener->describe(plugin);
      if (!plugin.statistics.empty()) out.children.push_back(plugin);
    }
    system.children.push_back(out);
  }
  if (shared_) {
    Component sharing{"Sharing", shared_->policy, "", {}, {}};
    add_to(sharing, *shared_, spec.tck_ps);
    system.children.push_back(sharing);
  }
  return to_text(system, lists) + "\n";
}

}  // namespace moeram
