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

TEST(energy, "Is an energy model that a standard lacks refused?") {
  DeviceOptions options;
  options.organization_preset = "HBM3_4Gb";
  options.timing_preset = "HBM3_2Gbps";
  options.power = true;
  CHECK_THROWS(resolve(find_standard("HBM3"), options), ConfigError, "HBM3 has no energy model");
}
