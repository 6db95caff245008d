#include "moeram/system/shared_run.h"

#include <algorithm>
#include <numeric>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/system/frontends.h"
#include "moeram/system/queued_run.h"

namespace moeram {
namespace {

constexpr Cycle kLongestSlice = 1000000;  // what a controller waits at most without calling it a standstill

int level_named(const Params& at, const Spec& spec, const std::string& name) {
  const int level = spec.level(name);
  if (level < 1) at.fail("'" + name + "' is no level below the channel of " + spec.standard + did_you_mean(name, {spec.levels.begin() + 1, spec.levels.end()}));
  return level;
}

std::int64_t within(const Params& node, const std::string& key, std::int64_t otherwise, std::int64_t least, std::int64_t most) {
  const std::int64_t value = node.integer(key, otherwise);
  if (value < least || value > most) node.child(key).fail("must lie between " + std::to_string(least) + " and " + std::to_string(most));
  return value;
}

HostStream read_stream(const Params& host, const Spec& spec) {
  HostStream stream;
  const std::string kind = host.text("kind", "read");
  if (kind != "read" && kind != "write") host.child("kind").fail("'" + kind + "' is unknown" + did_you_mean(kind, {"read", "write"}));
  stream.kind = kind == "read" ? kRead : kWrite;
  for (const auto& item : host.list("order")) {
    const int level = level_named(item, spec, item.as_text());
    if (std::find(stream.order.begin(), stream.order.end(), level) != stream.order.end()) item.fail("level '" + item.as_text() + "' stands twice");
    stream.order.push_back(level);
  }
  if (stream.order.empty()) host.child("order").fail("at least one level is expected, the fastest first");
  if (const auto at = host.optional_child("at")) {
    for (const auto& name : at->keys()) {
      const int level = level_named(at->child(name), spec, name);
      const std::int64_t count = spec.counts[static_cast<std::size_t>(level)] / (level == spec.column_level ? spec.prefetch : 1);
      stream.at[static_cast<std::size_t>(level)] = static_cast<std::int32_t>(within(*at, name, 0, 0, count - 1));
    }
  }
  if (host.has("requests")) stream.requests = within(host, "requests", 0, 1, std::int64_t{1} << 40);
  stream.every = within(host, "every", 0, 0, kLongestSlice);
  return stream;
}

std::int64_t banks_of(const Spec& spec, const Command& command) {
  std::int64_t banks = 1;
  for (int level = 1; level <= spec.bank_level; ++level) {
    if ((command.span >> level & 1U) != 0) banks *= spec.counts[static_cast<std::size_t>(level)];
  }
  return banks;
}

}  // namespace

HostTraffic::HostTraffic(const Params& host, const Spec& spec, const AddressMapper& mapper, const std::string& folder) : spec_(spec), mapper_(mapper) {
  const std::string name = host.text("impl");
  if (name == "Stream") {
    stream_ = read_stream(host, spec);
    return;
  }
  if (name != "LoadStoreTrace") host.child("impl").fail("'" + name + "' is unknown" + did_you_mean(name, {"Stream", "LoadStoreTrace"}));
  const std::string path = in_folder(folder, host.text("path"));
  trace_ = std::make_unique<LoadStoreTrace>(path);
  of_channel_.resize(static_cast<std::size_t>(spec.counts[0]));
  for (std::int64_t i = 0; i < trace_->requests().size(); ++i) {
    const std::int64_t address = trace_->requests().at(i).address();
    if (address >= mapper.end_address()) {
      throw TraceError(path + ":" + std::to_string(i + 1) + ": address " + std::to_string(address) + " lies beyond the memory, which ends at " +
                       std::to_string(mapper.end_address()));
    }
    of_channel_[static_cast<std::size_t>(mapper.map(address)[0])].push_back(i);
  }
}

std::vector<std::unique_ptr<RequestFeed>> HostTraffic::feeds() const {
  std::vector<std::unique_ptr<RequestFeed>> feeds;
  for (int channel = 0; channel < spec_.counts[0]; ++channel) {
    if (trace_ == nullptr) {
      feeds.push_back(std::make_unique<HostStreamFeed>(spec_, stream_, channel));
    } else {
      feeds.push_back(std::make_unique<HostTraceFeed>(trace_->requests(), mapper_, of_channel_[static_cast<std::size_t>(channel)]));
    }
  }
  return feeds;
}

SharingOptions read_sharing(const Params& sharing) {
  SharingOptions options;
  options.policy = sharing.text("impl");
  const auto read = [&](const std::string& key, Cycle& value) {
    if (sharing.has(key)) value = within(sharing, key, 0, 1, kLongestSlice);
  };
  read("cap", options.cap);
  read("host_slice", options.slices[index_of(Side::host)]);
  read("units_slice", options.slices[index_of(Side::units)]);
  return options;
}

double SideResult::slowdown() const {
  const double both = static_cast<double>(cycles) * static_cast<double>(requests_alone);
  const double base = static_cast<double>(cycles_alone) * static_cast<double>(requests);
  if (base == 0) throw EngineError("a side completed nothing, so there is no slowdown to state");
  return both / base;
}

SharedResult describe_together(const QueuedMemory& memory, Cycle program_end, Cycle host_end) {
  SharedResult result;
  const Spec& spec = memory.spec();
  Cycle ticks = 0;
  for (const auto& channel : memory.channels()) {
    ticks += channel->now() * static_cast<Cycle>(spec.buses.size());
    for (const Side side : {Side::host, Side::units}) {
      const auto& counted = channel->statistics().sides[index_of(side)];
      SideResult& out = result.sides[index_of(side)];
      out.cycles = side == Side::host ? host_end : program_end;
      out.requests += side == Side::host ? channel->statistics().fed : counted.completed;
      out.commands += std::accumulate(counted.issued.begin(), counted.issued.end(), std::int64_t{0});
      for (std::size_t command = 0; command < counted.issued.size(); ++command) {
        if (spec.commands[command].accessing) out.bytes += counted.issued[command] * banks_of(spec, spec.commands[command]) * spec.transaction_bytes();
      }
      out.longest_wait = std::max(out.longest_wait, counted.longest_wait);
      out.bound = channel->sharing_bound(side);
    }
  }
  for (auto& side : result.sides) side.command_bus_share = static_cast<double>(side.commands) / static_cast<double>(std::max<Cycle>(ticks, 1));
  result.policy = memory.sharing()->name();
  return result;
}

void add_to(Component& component, const SharedResult& result, Picosecond tck_ps) {
  for (const Side side : {Side::host, Side::units}) {
    const SideResult& of = result.sides[index_of(side)];
    const std::string name = side == Side::host ? "host_" : "units_";
    component.add(name + "cycles", of.cycles);
    component.add(name + "cycles_alone", of.cycles_alone);
    component.add(name + "requests", of.requests);
    component.add(name + "requests_alone", of.requests_alone);
    component.add(name + "slowdown", of.slowdown());
    component.add(name + "bytes", of.bytes);
    component.add(name + "gb_per_s", static_cast<double>(of.bytes) * 1000 / (static_cast<double>(of.cycles) * static_cast<double>(tck_ps)));
    component.add(name + "commands", of.commands);
    component.add(name + "command_bus_share", of.command_bus_share);
    component.add(name + "longest_wait", of.longest_wait);
    if (of.bound == kNever) {
      component.add(name + "longest_wait_bound", std::string("none"));
    } else {
      component.add(name + "longest_wait_bound", of.bound);
    }
  }
}

}  // namespace moeram
