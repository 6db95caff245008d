// Is the DRAM energy what.
#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/dram/device.h"
#include "support.h"

using namespace moeram;

namespace {

Spec powered() {
  DeviceOptions options;
  options.organization_preset = "DDR4_8Gb_x8";
  options.timing_preset = "DDR4_2400R";
  options.power = true;
  options.voltage_preset = "Default";
  options.current_preset = "Default";
  return resolve(find_standard("DDR4"), options);
}

}  // namespace

// VDD 1.2 V, VPP 2.5 V; background active 1.2*55 + 2.5*3 = 73.5 mW, idle 1.2*50 + 2.5*3 = 67.5 mW; ACT 1.2*(60-55) = 6 mW over
// nRAS 39, PRE 1.2*(60-50) = 12 mW over nRP 16, RD and WR 1.2*(145-55) = 108 mW over nBL 4, REF 1.2*362 + 2.5*48 = 554.4 mW over
// nRFC 433. nJ = mW * cycles * 0.833 ns / 1000.
TEST(energy, "Does a hand-computed sequence give its energy and intervals?") {
  const Spec spec = powered();
  Device device(spec);
  const Address row = address_of({0, 0, 0, 0, 3, 0});
  const Address rank = address_of({0, 0, -1, -1, -1, -1});
  device.issue(spec.command("ACT"), row, 100);
  device.issue(spec.command("RD"), row, 116);
  device.issue(spec.command("RD"), row, 122);
  device.issue(spec.command("WR"), row, 140);
  device.issue(spec.command("PRE"), row, 200);
  device.issue(spec.command("REFab"), rank, 300);
  for (Cycle now = 301; now <= 1000; ++now) device.tick(now);
  const auto ranks = device.finish_energy(1000);
  CHECK_EQUAL(ranks.size(), 1u);
  CHECK_EQUAL(ranks[0].active_cycles, 100);                        // 100 to 200
  CHECK_EQUAL(ranks[0].idle_cycles, 100 + 100 + (1000 - 732));     // to 100, 200 to 300, and from the end of the refresh at 300 + 432
  const double tck = 0.833;
  CHECK_NEAR(ranks[0].active_background_nj, 73.5 * 100 * tck / 1000, 1e-9);
  CHECK_NEAR(ranks[0].idle_background_nj, 67.5 * 468 * tck / 1000, 1e-9);
  const double commands = (6.0 * 39 + 12.0 * 16 + 3 * 108.0 * 4 + 554.4 * 433) * tck / 1000;
  CHECK_NEAR(ranks[0].command_nj, commands, 1e-9);
  CHECK_NEAR(ranks[0].total_nj(), ranks[0].active_background_nj + ranks[0].idle_background_nj + ranks[0].command_nj, 1e-9);
}

// PREA counts every open bank; a PRE with two banks open leaves the rank active.
TEST(energy, "Does a rank stay active until its last bank closes?") {
  const Spec spec = powered();
  Device device(spec);
  device.issue(spec.command("ACT"), address_of({0, 0, 0, 0, 3, 0}), 10);
  device.issue(spec.command("ACT"), address_of({0, 0, 1, 0, 3, 0}), 20);
  device.issue(spec.command("PRE"), address_of({0, 0, 0, 0, 3, 0}), 60);
  device.issue(spec.command("ACT"), address_of({0, 0, 2, 0, 3, 0}), 80);
  device.issue(spec.command("PREA"), address_of({0, 0, -1, -1, -1, -1}), 130);
  const auto rank = device.finish_energy(200).at(0);
  CHECK_EQUAL(rank.active_cycles, 120);
  CHECK_EQUAL(rank.idle_cycles, 80);
  CHECK_NEAR(rank.command_nj, (3 * 6.0 * 39 + 3 * 12.0 * 16) * 0.833 / 1000, 1e-9);
}

// HBM3: a burst of 32 B costs 3.48 pJ x 256 bits = 890.88 pJ; a row of 1 KB 0.11 x 8192 = 901.12 pJ; HBM3_16Gb_8hi has 16384 rows
// and 32 banks below a pseudochannel: REFab 2 x 901.12 x 32. A channel holds 8 Gbit: 60 mW.
TEST(energy, "Are commands and time priced as the data say?") {
  const Spec spec = resolve_by_name("HBM3@2.1", "HBM3_16Gb_8hi", "HBM3_6400Mbps");
  std::vector<std::int64_t> issued(spec.commands.size(), 0);
  const auto set = [&](const char* name, std::int64_t count) { issued[static_cast<std::size_t>(spec.command(name))] = count; };
  set("ACT", 10);
  set("PREpb", 10);
  set("RD", 300);
  set("WR", 20);
  set("REFab", 2);
  const EnergyReport report = price_commands(spec, issued, 32000);  // 32000 half cycles of 312.5 ps: 10 us
  CHECK_NEAR(report.command_nj, (10 * 901.12 + 320 * 890.88 + 2 * 2 * 901.12 * 32) / 1000, 1e-9);
  CHECK_NEAR(report.background_nj, 60.0 * 10000 / 1000, 1e-9);
  CHECK_NEAR(report.average_mw * 10000 / 1000, report.total_nj(), 1e-9);  // power x time = energy
  CHECK_EQUAL(spec.energy->scope, std::string("channel"));
  double sum = 0;
  for (const double part : report.by_command_nj) sum += part;
  CHECK_NEAR(sum, report.command_nj, 1e-9);
}

// DDR4-2400R, 8 Gb x8: ACT 1.2 V x 5 mA x 39 x 0.833 ns; RD 1.2 x 90 x 4 x 0.833; eight chips make a rank.
TEST(energy, "Is a chip's energy the currents times the time?") {
  const Spec spec = resolve_by_name("DDR4@2.1", "DDR4_8Gb_x8", "DDR4_2400R");
  CHECK_EQUAL(spec.energy->scope, std::string("chip"));
  CHECK_EQUAL(spec.energy->units_per_channel, 8.0);
  CHECK_NEAR(spec.energy->commands[static_cast<std::size_t>(spec.command("ACT"))].pj, 1.2 * 5 * 39 * 0.833, 1e-9);
  CHECK_NEAR(spec.energy->commands[static_cast<std::size_t>(spec.command("RD"))].pj, 1.2 * 90 * 4 * 0.833, 1e-9);
  CHECK_NEAR(spec.energy->background.pj, 1.2 * 52.5, 1e-9);
}

namespace {

// With the first organisation that has refresh times; some of 2.0's have none.
Spec any_of(const std::string& name) {
  const Standard standard = find_standard(name);
  for (const auto& [organization, sizes] : standard.organization_presets) {
    try {
      return resolve_by_name(name, organization, standard.timing_presets.begin()->first);
    } catch (const ConfigError& error) {
      if (std::string(error.what()).find("is not specified") == std::string::npos) throw;
    }
  }
  throw std::logic_error(name + " resolves with no organisation");
}

}  // namespace

TEST(energy, "Has every shipped standard a price, with an origin, for whatever it can issue?") {
  for (const auto& name : shipped_standards()) {
    const Standard standard = find_standard(name);
    const Spec spec = any_of(name);
    CHECK(!standard.power_commands.empty() || spec.energy);
    if (!spec.energy) continue;
    CHECK_EQUAL(spec.energy->commands.size(), spec.commands.size());
    for (std::size_t i = 0; i < spec.commands.size(); ++i) {
      const auto& term = spec.energy->commands[i];
      CHECK(term.origin.starts_with("source: ") || term.origin.starts_with("assumption: "));
      if (spec.commands[i].accessing || spec.commands[i].refreshing) CHECK(term.pj > 0);
    }
    CHECK(spec.energy->background.pj > 0 && !spec.energy->background.origin.empty());
  }
}

TEST(energy, "Are missing prices, origins and scopes refused, and never taken for nothing?") {
  const std::string text = read_file(MOERAM_STANDARDS "/HBM2@2.1.yaml");
  const auto refused = [&](const char* from, const char* to, const char* message) {
    const TemporaryFile file("standard.yaml", replace_once(text, from, to));
    CHECK_THROWS(resolve_by_name(file.path(), "HBM2_8Gb", "HBM2_2000Mbps"), ConfigError, message);
    CHECK_THROWS(resolve_by_name(file.path(), "HBM2_8Gb", "HBM2_2000Mbps"), ConfigError, file.path());
  };
  refused("    PREpb: {pj: 0, assumption: \"closing is part of the price of opening\"}\n", "", "the energy of command PREpb is missing; 0 has to be written and explained");
  refused("PREpb: {pj: 0, assumption: \"closing is part of the price of opening\"}", "PREpb: {pj: 0}", "either 'source' or 'assumption'");
  refused("PREpb: {pj: 0, assumption: \"closing is part of the price of opening\"}", "PREpb: {pj: nBLL, assumption: \"x\"}", "did you mean 'nBL'?");
  refused("scope: channel  # one", "scope: channels  # one", "scope 'channels' is unknown; did you mean 'channel'?");
  const TemporaryFile bare("standard.yaml", text.substr(0, text.find("\nenergy:")));
  const Spec without = resolve_by_name(bare.path(), "HBM2_8Gb", "HBM2_2000Mbps");
  CHECK_THROWS(price_commands(without, std::vector<std::int64_t>(without.commands.size(), 1), 10), ConfigError, "HBM2@2.1 has no energy figures");
  DeviceOptions options;
  options.organization_preset = "HBM2_8Gb";
  options.timing_preset = "HBM2_2000Mbps";
  options.power = true;
  CHECK_THROWS(resolve(find_standard(bare.path()), options), ConfigError, "has no energy model");
}
