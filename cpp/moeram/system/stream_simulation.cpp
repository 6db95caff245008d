#include "moeram/system/stream_simulation.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/base/statistics.h"
#include "moeram/system/config_reading.h"
#include "moeram/system/frontends.h"
#include "moeram/system/memory_config.h"

namespace moeram {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 61;

std::int64_t at_least(const Params& node, const std::string& key, std::int64_t least, std::int64_t otherwise) {
  const std::int64_t value = node.integer(key, otherwise);
  if (value < least || value > kMost) node.child(key).fail("must be at least " + std::to_string(least) + (value > kMost ? " and below 2^61" : ""));
  return value;
}

}  // namespace

StreamSimulation::StreamSimulation(const Params& config, bool strict, const std::string& folder) {
  implementation_of(config, "Frontend", {"Stream"});
  read_memory(config, folder);
  const Params frontend = config.child("Frontend");
  read_streams(frontend);
  config_.options.interval = at_least(frontend, "interval_cycles", 0, 0);
  config_.options.refresh_phase = at_least(frontend, "refresh_phase_cycles", 0, 0);
  config_.options.fold = frontend.boolean("fold", true);
  config_.reuse_identical_channels = frontend.boolean("reuse_identical_channels", true);
  config_.threads = static_cast<int>(std::min<std::int64_t>(at_least(frontend, "threads", 1, 1), 1024));
  check_unread(config, strict, warnings_);
  // What no device can be asked is said before anything runs.
  at_place(frontend.child("streams"), [&] { return split_streams({*spec_, config_.mapper, config_.stacks, config_.interleave}, streams_); });
}

void StreamSimulation::read_memory(const Params& config, const std::string& folder) {
  const MemoryFamily& family = memory_family(config);
  const Params system = config.child("MemorySystem");
  bool price_commands = false;
  spec_ = resolve_dram(system.child("DRAM"), price_commands);
  if (price_commands) system.child("DRAM").fail("streams count the energy of Ramulator 2.0's model only; " + spec_->standard + " has prices of its commands");
  config_.stacks = static_cast<int>(std::min<std::int64_t>(at_least(system, "stacks", 1, 1), 1 << 20));
  config_.interleave = system.text("interleave", "");
  config_.mapper = implementation_of(system, "AddrMapper", {"RoBaRaCoCh", "ChRaBaRoCo"});
  implementation_of(system, family.controller_key, {family.controller});
  const Params controller = system.child(family.controller_key);
  config_.options.controller = read_controller(controller, family, 1, folder);
  if (config_.options.controller.make_row_policy) controller.child("RowPolicy").fail("streams take no row policy from a library: its state could not be compared");
}

void StreamSimulation::read_streams(const Params& frontend) {
  const auto entries = frontend.child("streams").as_list();
  if (entries.empty()) frontend.child("streams").fail("at least one stream is needed");
  int alone = -1;  // groups of one never meet a given group
  for (const Params& entry : entries) {
    Stream stream;
    const std::string kind = entry.text("kind", "read");
    if (kind != "read" && kind != "write") entry.child("kind").fail("'read' or 'write' is expected");
    stream.kind = kind == "read" ? kRead : kWrite;
    stream.base = at_least(entry, "base_bytes", 0, 0);
    stream.extent_bytes = entry.integer("extent_bytes");
    if (stream.extent_bytes < 1 || stream.extent_bytes > kMost) entry.child("extent_bytes").fail("must lie between 1 and 2^61");
    stream.stride_bytes = at_least(entry, "stride_bytes", 1, spec_->transaction_bytes());
    stream.group = entry.has("group") ? static_cast<int>(std::min<std::int64_t>(at_least(entry, "group", 0, 0), 1 << 30)) : alone--;
    streams_.push_back(stream);
  }
}

void StreamSimulation::run(bool skip, Cycle most_cycles) {
  if (most_cycles != kNever) throw ConfigError("--max-cycles goes with traces only; streams are as long as their `extent_bytes` say");
  config_.options.skip = skip;
  result_ = run_streams(*spec_, config_, streams_);
}

double StreamSimulation::folded_share() const {
  std::int64_t simulated = 0, asked = 0;
  for (const StreamChannelResult& kind : result_.kinds) {
    simulated += kind.simulated;
    asked += kind.reads + kind.writes;
  }
  return 1 - static_cast<double>(simulated) / static_cast<double>(asked);
}

std::string StreamSimulation::statistics(bool lists) const {
  std::vector<std::int64_t> channels(result_.kinds.size(), 0);
  for (const int kind : result_.kind_of_channel) {
    if (kind >= 0) ++channels[static_cast<std::size_t>(kind)];
  }
  std::int64_t reads = 0, writes = 0;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const StreamChannelResult& kind = result_.kinds[i];
    reads += channels[i] * kind.reads;
    writes += channels[i] * kind.writes;
  }
  const double time_ps = static_cast<double>(result_.cycles) * static_cast<double>(spec_->tck_ps);
  const double bytes = static_cast<double>(reads + writes) * static_cast<double>(spec_->transaction_bytes());
  Component system{"MemorySystem", "GenericDRAM", "", {}, {}};
  system.add("memory_system_cycles", result_.cycles);
  system.add("total_num_read_requests", reads);
  system.add("total_num_write_requests", writes);
  system.add("gb_per_s", bytes / time_ps * 1e3);
  system.add("folded_share", folded_share());
  system.children.push_back({"DRAM", spec_->standard + "@" + spec_->edition, "", {}, {}});
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const StreamChannelResult& kind = result_.kinds[i];
    Component out{"Controller", "Generic", "Kind " + std::to_string(i), {}, {}, true};
    out.add("channels", channels[i]);
    out.add("cycles", kind.cycles);
    out.add("simulated_requests", kind.simulated);
    for (std::size_t c = 0; c < result_.count_names.size(); ++c) {
      const bool command = c + spec_->commands.size() >= result_.count_names.size();
      out.add(command ? "num_" + result_.count_names[c] + "_commands" : result_.count_names[c], kind.counts[c]);
    }
    for (const RankEnergy& rank : kind.energy) {
      out.add("background_nj", rank.background_nj());
      out.add("commands_nj", rank.command_nj);
    }
    system.children.push_back(out);
  }
  return to_text(system, lists) + "\n";
}

}  // namespace moeram
