// Does every preset of the corrected standards run, refresh, and move data near the speed of its own timing?
#include <algorithm>
#include <map>

#include "check.h"
#include "moeram/base/errors.h"
#include "support.h"

using namespace moeram;

namespace {

struct Pair {
  std::string standard, organization, timing;
  std::string text() const { return standard + " " + organization + " " + timing; }
};

// Each preset of each standard at least once: every organisation with the first timing, every timing with the first organisation.
std::vector<Pair> corrected_presets() {
  std::vector<Pair> out;
  for (const auto& name : shipped_standards()) {
    if (!name.ends_with("@2.1")) continue;
    const Standard standard = find_standard(name);
    const std::string first_timing = standard.timing_presets.begin()->first;
    for (const auto& [organization, sizes] : standard.organization_presets) out.push_back({name, organization, first_timing});
    for (const auto& [timing, values] : standard.timing_presets) {
      if (timing != first_timing) out.push_back({name, standard.organization_presets.begin()->first, timing});
    }
  }
  return out;
}

// The i-th burst of a stream: pseudochannels, bank groups and banks take turns in this order, so that no two in a row meet
// in a bank group. Each bank walks its rows column by column from a start of its own, so that rows end one after the other.
Address burst(const Spec& spec, std::int64_t i) {
  Address address{};
  std::int64_t banks = 1, bank = 0;
  for (const char* name : {"pseudochannel", "bankgroup", "bank"}) {
    const int level = spec.level(name);
    if (level < 0) continue;
    const int count = spec.counts[static_cast<std::size_t>(level)];
    address[static_cast<std::size_t>(level)] = static_cast<std::int32_t>(i % count);
    bank += i % count * banks;
    banks *= count;
    i /= count;
  }
  const std::int64_t columns = spec.counts[static_cast<std::size_t>(spec.column_level)] / spec.prefetch;
  const std::int64_t position = i + bank * columns / banks;
  address[static_cast<std::size_t>(spec.column_level)] = static_cast<std::int32_t>(position % columns);
  address[static_cast<std::size_t>(spec.row_level)] = static_cast<std::int32_t>(position / columns);
  return address;
}

struct Outcome {
  std::int64_t requests = 0;
  Cycle ticks = 0;
  std::vector<Recorder::Entry> commands;
  std::int64_t count(const Spec& spec, const char* name) const {
    return std::count_if(commands.begin(), commands.end(), [&](const auto& entry) { return entry.command == spec.command(name); });
  }
};

// Requests for `duration` ticks, as fast as they are taken; `of` says which kind the i-th is. Then until all is served.
template <class KindOf>
Outcome stream(const Spec& spec, Cycle duration, const std::string& refresh, KindOf of) {
  ControllerOptions options;
  options.refresh = refresh;
  Controller controller(spec, 0, options);
  const auto recorder = std::make_shared<Recorder>();
  controller.add_listener(recorder);
  Outcome out;
  while (controller.now() < duration) {
    Request request;
    request.address = burst(spec, out.requests);
    request.kind = of(out.requests);
    if (controller.send(request)) {
      ++out.requests;
      continue;
    }
    controller.tick();
  }
  const Cycle patience = controller.now() + 3 * (spec.refresh ? spec.refresh->interval : 10000);
  while (!controller.drained()) {
    if (controller.now() > patience) throw EngineError("the stream does not end");
    controller.tick();
  }
  out.ticks = controller.now();
  out.commands = recorder->entries;
  return out;
}

// Fastest spacing of bursts on a channel by its own timing: data bus of each pseudochannel, column commands on their bus.
double ticks_per_burst(const Spec& spec) {
  const auto of = [&](const char* name) { return spec.timing.contains(name) ? spec.timing.at(name) : 0; };
  const std::int64_t burst_cycles = std::max({of("nBL"), of("nBL_min"), of("nCCDS"), of("nCCD")});
  const int pseudochannels = spec.level("pseudochannel") < 0 ? 1 : spec.counts[static_cast<std::size_t>(spec.level("pseudochannel"))];
  const auto bus = static_cast<double>(spec.commands[static_cast<std::size_t>(spec.requests[kRead].command)].bus_ticks);
  return std::max(static_cast<double>(burst_cycles * spec.ticks_per_cycle) / pseudochannels, bus);
}

void each_preset(void (*check_pair)(const Pair&, const Spec&)) {
  const auto pairs = corrected_presets();
  CHECK(pairs.size() >= 150);
  for (const auto& pair : pairs) {
    try {
      check_pair(pair, resolve_by_name(pair.standard, pair.organization, pair.timing));
    } catch (const std::exception& error) {
      throw std::logic_error(pair.text() + ": " + error.what());
    }
  }
}

}  // namespace

TEST(presets, "Does a read stream on every preset come near its peak, refresh included?") {
  each_preset([](const Pair&, const Spec& spec) {
    const Cycle duration = 5 * spec.refresh->interval / 2;
    const Outcome out = stream(spec, duration, "AllBank", [](std::int64_t) { return kRead; });
    CHECK_EQUAL(out.count(spec, "REFab"), out.ticks / spec.refresh->interval * spec.nodes_at(spec.refresh->level));
    const double lost = static_cast<double>(spec.timing.at(spec.timing.contains("nRFC") ? "nRFC" : "nRFCab")) * spec.ticks_per_cycle * 2 / static_cast<double>(out.ticks);
    const double share = static_cast<double>(out.requests) * ticks_per_burst(spec) / (static_cast<double>(out.ticks) * (1 - lost));
    CHECK(share <= 1.001);
    CHECK(share > 0.75);  // most reach 0.95; rows of eight banks at 9.6 Gb/s end faster than they can be opened
  });
}

TEST(presets, "Is each request of a mixed stream served exactly once?") {
  each_preset([](const Pair&, const Spec& spec) {
    const Outcome out = stream(spec, spec.refresh->interval / 4, "AllBank", [](std::int64_t i) { return i / 16 % 3 == 2 ? kWrite : kRead; });
    std::int64_t reads = 0;
    for (std::int64_t i = 0; i < out.requests; ++i) reads += i / 16 % 3 != 2;
    const auto name_of = [&](int kind) { return spec.commands[static_cast<std::size_t>(spec.requests[static_cast<std::size_t>(kind)].command)].name; };
    CHECK(out.requests > 100);
    CHECK_EQUAL(out.count(spec, name_of(kRead).c_str()), reads);
    CHECK_EQUAL(out.count(spec, name_of(kWrite).c_str()), out.requests - reads);
  });
}

TEST(presets, "Does per-bank refresh reach each bank equally often, once in a refresh interval?") {
  std::vector<std::string> seen;
  for (const auto& pair : corrected_presets()) {
    const Spec spec = resolve_by_name(pair.standard, pair.organization, pair.timing);
    if (!spec.refresh_per_bank || (!seen.empty() && seen.back() == pair.standard)) continue;
    seen.push_back(pair.standard);
    const RefreshRule& rule = *spec.refresh_per_bank;
    const Cycle duration = 3 * spec.refresh->interval / 2;
    const Outcome out = stream(spec, duration, "PerBank", [](std::int64_t) { return kRead; });
    CHECK_EQUAL(out.count(spec, "REFpb"), out.ticks / rule.interval * spec.nodes_at(rule.level));
    CHECK_EQUAL(out.count(spec, "REFab"), 0);
    std::map<Address, std::int64_t> by_bank;
    for (const auto& entry : out.commands) {
      if (entry.command == spec.command("REFpb")) ++by_bank[entry.address];
    }
    CHECK_EQUAL(static_cast<int>(by_bank.size()), spec.banks());
    const auto [least, most] = std::minmax_element(by_bank.begin(), by_bank.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    CHECK(most->second - least->second <= 1);
    // One turn through the banks takes a refresh interval, up to the rounding of the time between two.
    const Cycle turn = rule.interval * (spec.banks() / spec.nodes_at(rule.level));
    CHECK(std::abs(turn - spec.refresh->interval) <= spec.banks() * spec.ticks_per_cycle);
  }
  CHECK_EQUAL(seen.size(), std::size_t{7});
  CHECK_THROWS(stream(resolve_by_name("DDR4@2.1", "DDR4_8Gb_x8", "DDR4_2400R"), 10, "PerBank", [](std::int64_t) { return kRead; }), ConfigError,
               "has no per-bank refresh; use 'AllBank'");
}

TEST(presets, "Is a row opened in two commands by the second one in time, with no other opening between?") {
  for (const Spec& spec : {resolve_by_name("LPDDR5@2.1", "LPDDR5_8Gb_x16", "LPDDR5_6400"), resolve_by_name("LPDDR6", "LPDDR6_16Gb_x12", "LPDDR6_10667_BL24")}) {
    const Outcome out = stream(spec, 20000, "AllBank", [](std::int64_t i) { return i / 24 % 2 == 0 ? kRead : kWrite; });
    const TwoStepOpening& opening = *spec.two_step;
    const Recorder::Entry* first = nullptr;
    std::int64_t pairs = 0;
    for (const auto& entry : out.commands) {
      if (entry.command == opening.first) {
        CHECK(first == nullptr);
        first = &entry;
      }
      if (entry.command != opening.second) continue;
      CHECK(first != nullptr);
      CHECK(entry.cycle - first->cycle <= spec.timing.at("nAAD"));
      for (int level = 0; level <= spec.row_level; ++level) CHECK_EQUAL(entry.address[static_cast<std::size_t>(level)], first->address[static_cast<std::size_t>(level)]);
      first = nullptr;
      ++pairs;
    }
    CHECK(pairs > 20);
    CHECK(out.count(spec, spec.commands[static_cast<std::size_t>(opening.sync_read)].name.c_str()) > 0);
  }
}

TEST(presets, "Is the second half of an opening refused when it comes too late?") {
  const Spec spec = resolve_by_name("LPDDR5@2.1", "LPDDR5_8Gb_x16", "LPDDR5_6400");
  Device device(spec);
  const Address bank = address_of({0, 0, 1, 2, 5, 0});
  device.issue(spec.command("ACT1"), bank, 100);
  CHECK_EQUAL(device.prerequisite(spec.command("RD"), bank, device.bank_of(bank)), spec.command("ACT2"));
  CHECK_THROWS(device.issue(spec.command("ACT2"), bank, 109), EngineError, "ACT2 at cycle 109 comes later than 8");
  Device in_time(spec);
  in_time.issue(spec.command("ACT1"), bank, 100);
  in_time.issue(spec.command("ACT2"), address_of({0, 0, 1, 2, 7, 0}), 108);  // of another request: the row is the first half's
  CHECK_EQUAL(in_time.open_row(in_time.bank_of(bank)), 5);
  // LPDDR5-6400: an access keeps the data clock for nCL 17 + nBL 2 + nWCKPST 1 = 20 cycles; none came yet.
  CHECK_EQUAL(in_time.prerequisite(spec.command("RD"), bank, in_time.bank_of(bank)), spec.command("CAS_RD"));
  in_time.issue(spec.command("CAS_RD"), bank, 125);
  in_time.issue(spec.command("RD"), bank, 126);
  in_time.tick(145);
  CHECK_EQUAL(in_time.prerequisite(spec.command("RD"), bank, in_time.bank_of(bank)), spec.command("RD"));
  in_time.tick(146);
  CHECK_EQUAL(in_time.prerequisite(spec.command("RD"), bank, in_time.bank_of(bank)), spec.command("CAS_RD"));
}

TEST(presets, "Does each bus take one command a tick, and half cycles only precharges?") {
  const Spec hbm2 = resolve_by_name("HBM2@2.1", "HBM2_8Gb", "HBM2_2000Mbps");
  const Outcome two_buses = stream(hbm2, 10000, "AllBank", [](std::int64_t) { return kRead; });
  int together = 0;
  for (std::size_t i = 1; i < two_buses.commands.size(); ++i) {
    const auto& before = two_buses.commands[i - 1];
    const auto& entry = two_buses.commands[i];
    if (before.cycle != entry.cycle) continue;
    ++together;
    CHECK(hbm2.commands[static_cast<std::size_t>(before.command)].bus < hbm2.commands[static_cast<std::size_t>(entry.command)].bus);
  }
  CHECK(together > 100);
  const Spec hbm3 = resolve_by_name("HBM3@2.1", "HBM3_16Gb_8hi", "HBM3_6400Mbps");
  const Outcome half_cycles = stream(hbm3, 20000, "AllBank", [](std::int64_t) { return kRead; });
  int on_half = 0;
  for (const auto& entry : half_cycles.commands) {
    if (entry.cycle % 2 == 1) continue;  // the first tick has the number 1
    ++on_half;
    CHECK(entry.command == hbm3.command("PREpb") || entry.command == hbm3.command("PREab"));
  }
  CHECK(on_half > 0);
}
