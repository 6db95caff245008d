// Do presets, derived steps and overrides give the numbers that the standards' sheets state?
#include <algorithm>

#include "check.h"
#include "moeram/base/errors.h"
#include "support.h"

using namespace moeram;

namespace {

DeviceOptions ddr4_options() {
  DeviceOptions options;
  options.organization_preset = "DDR4_8Gb_x8";
  options.timing_preset = "DDR4_2400R";
  return options;
}

std::int64_t latency(const Spec& spec, const char* level, const char* preceding, const char* following, int window, bool sibling) {
  for (const auto& row : spec.rows[static_cast<std::size_t>(spec.level(level))][static_cast<std::size_t>(spec.command(preceding))]) {
    if (row.following == spec.command(following) && row.window == window && row.sibling == sibling) return row.latency.at(0);
  }
  throw std::logic_error("no such row");
}

}  // namespace

// By hand from the DDR4 sheet: 2400R has CL 16, x8 at 2400 has nRRDS 4, nRRDL 6, nFAW 26, 8 Gb has tRFC 360 ns = 433 cycles of 833 ps.
TEST(resolve, "Does DDR4-2400R resolve to its worked values?") {
  const Spec spec = ddr4();
  CHECK_EQUAL(spec.tck_ps, 833);
  CHECK_EQUAL(spec.read_latency, 20);  // nCL 16 + nBL 4
  CHECK_EQUAL(spec.timing.at("nRFC"), 433);
  CHECK_EQUAL(spec.timing.at("nREFI"), 9364);
  CHECK_EQUAL(spec.timing.at("nFAW"), 26);
  CHECK_EQUAL(spec.timing.at("nRRDL"), 6);
  CHECK_EQUAL(spec.transaction_bytes(), 64);
  CHECK_EQUAL(spec.banks(), 16);
  CHECK_EQUAL(latency(spec, "rank", "RD", "WR", 1, false), 10);       // 16 + 4 + 2 - 12
  CHECK_EQUAL(latency(spec, "rank", "WR", "RD", 1, false), 19);       // 12 + 4 + 3
  CHECK_EQUAL(latency(spec, "rank", "WR", "RD", 1, true), 10);        // 2.0's fault: 16 + 4 + 2 - 12
  CHECK_EQUAL(latency(spec, "rank", "ACT", "ACT", 4, false), 26);
  CHECK_EQUAL(latency(spec, "bank", "WR", "PRE", 1, false), 34);      // 12 + 4 + 18
  CHECK_EQUAL(spec.commands[static_cast<std::size_t>(spec.command("REFab"))].apply_after, 432);
}

// HBM3 sheet: 2000 MT/s, tCK 1000 ps, CL 7, BL 4; 8 Gb: tRFC 350 ns; 2.0 fills nREFISB from the tRFC table.
TEST(resolve, "Does HBM3 resolve to its worked values?") {
  const Spec spec = resolve_by_name("HBM3", "HBM3_8Gb", "HBM3_2Gbps");
  CHECK_EQUAL(spec.tck_ps, 1000);
  CHECK_EQUAL(spec.read_latency, 11);
  CHECK_EQUAL(spec.timing.at("nRFC"), 350);
  CHECK_EQUAL(spec.timing.at("nREFISB"), 350);
  CHECK_EQUAL(spec.transaction_bytes(), 16);
  CHECK_EQUAL(spec.banks(), 32);
  CHECK_EQUAL(spec.refresh->level, -1);
  CHECK_EQUAL(latency(spec, "pseudochannel", "RD", "WR", 1, false), 11);  // 7 + 4 + 2 - 2
}

TEST(resolve, "Do overrides win without moving dependent values?") {
  DeviceOptions options = ddr4_options();
  options.timing_cycles["nRAS"] = 50;
  options.timing_ns["nRAS"] = 1;       // cycles win
  options.timing_ns["nRCD"] = 15;      // 15000 * 1000 / 833 = 18007; 18981 / 1000 = 18
  options.organization["rank"] = 2;    // ranks and channels are free of the density
  const Spec spec = resolve(find_standard("DDR4"), options);
  CHECK_EQUAL(spec.timing.at("nRAS"), 50);
  CHECK_EQUAL(spec.timing.at("nRC"), 55);
  CHECK_EQUAL(spec.timing.at("nRCD"), 18);
  CHECK_EQUAL(spec.banks(), 32);
}

TEST(resolve, "Does a rate alone without preset leave values missing?") {
  DeviceOptions options = ddr4_options();
  options.rate = 2400;
  CHECK_THROWS(resolve(find_standard("DDR4"), options), ConfigError, "'rate' cannot be given together with a preset");
  options.timing_preset.clear();
  CHECK_THROWS(resolve(find_standard("DDR4"), options), ConfigError, "is not specified");
}

TEST(resolve, "Are a wrong density and unknown names refused with the nearest name?") {
  DeviceOptions options = ddr4_options();
  options.organization["density"] = 4096;
  CHECK_THROWS(resolve(find_standard("DDR4"), options), ConfigError, "density of 8192 Mb, but the density given is 4096 Mb");
  options = ddr4_options();
  options.organization_preset = "DDR4_8Gbx8";
  CHECK_THROWS(resolve(find_standard("DDR4"), options), ConfigError, "did you mean 'DDR4_8Gb_x8'?");
  options = ddr4_options();
  options.timing_preset = "DDR4_2400Q";
  CHECK_THROWS(resolve(find_standard("DDR4"), options), ConfigError, "timing preset 'DDR4_2400Q' is unknown in DDR4; did you mean");
  CHECK_THROWS(find_standard("DDR9"), ConfigError, "DRAM standard 'DDR9' is unknown");
  options = ddr4_options();
  options.organization["row"] = 0;
  CHECK_THROWS(resolve(find_standard("DDR4"), options), ConfigError, "'row' is 0, must be at least 1");
}

TEST(resolve, "Is a density without a refresh time refused instead of read outside the table?") {
  DeviceOptions options = ddr4_options();
  options.organization["row"] = 65536 * 4;
  options.organization["density"] = 32768;
  CHECK_THROWS(resolve(find_standard("DDR4"), options), ConfigError, "nRFC is not specified");
  options.timing_cycles["nRFC"] = 600;
  CHECK_EQUAL(resolve(find_standard("DDR4"), options).timing.at("nRFC"), 600);
}

TEST(resolve, "Does a bare name mean Ramulator 2.0's edition, or the only one?") {
  CHECK_EQUAL(find_standard("DDR4").skeleton.edition, "2.0");
  CHECK_EQUAL(find_standard("HBM3@2.0").skeleton.standard, "HBM3");
  CHECK_EQUAL(find_standard("Mono3D").skeleton.edition, "1");
}

TEST(resolve, "Does a standard with an unknown word name file, line and key?") {
  const std::string text = read_file(MOERAM_STANDARDS "/Mono3D@1.yaml");
  const auto refused = [&](const char* from, const char* to, const char* message) {
    const TemporaryFile file("standard.yaml", replace_once(text, from, to));
    CHECK_THROWS(resolve_by_name(file.path(), "Stratum_32GB", "NearMemory_25ps"), ConfigError, message);
    CHECK_THROWS(resolve_by_name(file.path(), "Stratum_32GB", "NearMemory_25ps"), ConfigError, file.path());
  };
  refused("[bank, [PRE], [ACT], nRP]", "[bonk, [PRE], [ACT], nRP]", "level 'bonk' is unknown; did you mean 'bank'?");
  refused("[bank, [PRE], [ACT], nRP]", "[bank, [PRX], [ACT], nRP]", "command 'PRX' is unknown");
  refused("[bank, [PRE], [ACT], nRP]", "[bank, [PRE], [ACT], nRP, last 1]", "'sibling' or 'last N' is expected");
  refused("row_state: [RD, WR]", "row_state: [RD, WR]\n  extra: 1", "key 'extra' is unknown in a standard");
  refused("bank: {ACT: open_row,", "bank: {ACT: open_rows,", "did you mean 'open_row'?");
}

TEST(resolve, "Do other names mean the same file?") {
  CHECK_EQUAL(find_standard("HBM1@2.1").skeleton.standard, "HBM");
  CHECK_EQUAL(find_standard("HBM1").skeleton.edition, "2.0");
  CHECK_EQUAL(find_standard("DDR5_RFM_VRR").skeleton.standard, "DDR5-RFM-VRR");  // only 2.1 has it
  CHECK_EQUAL(find_standard("DDR4_VRR@2.1").skeleton.edition, "2.1");
  CHECK_EQUAL(find_standard("HBM3E").skeleton.edition, "2.1");
  CHECK_EQUAL(find_standard("GDDR6", "2.1").skeleton.edition, "2.1");
  CHECK_THROWS(find_standard("GDDR6", "aim?"), ConfigError, "has several editions, name one: GDDR6@2.0, GDDR6@2.1");
}

// By hand: HBM3@2.1 steps half cycles, ACT takes its bus for 3 of them and PREpb for 1: 45 cycles of nRAS are 90 + 2 - 0 ticks.
TEST(resolve, "Do commands of several ticks on a bus shift the rows between them?") {
  const Spec spec = resolve_by_name("HBM3@2.1", "HBM3_16Gb_8hi", "HBM3_6400Mbps");
  CHECK_EQUAL(spec.ticks_per_cycle, 2);
  CHECK_NEAR(spec.tick_ns(), 0.3125, 1e-12);
  CHECK_EQUAL(latency(spec, "bank", "ACT", "PREpb", 1, false), 92);
  CHECK_EQUAL(latency(spec, "bank", "ACT", "RD", 1, false), 63);       // 2 x 31 + 2 - 1
  CHECK_EQUAL(latency(spec, "channel", "ACT", "PREpb", 1, false), 3);  // its bus
  CHECK_EQUAL(spec.refresh->interval, 12480);
}

TEST(resolve, "Does wrong data of a standard name file, line, key and the nearest name?") {
  const std::string text = read_file(MOERAM_STANDARDS "/HBM3@2.1.yaml");
  const auto refused = [&](const char* from, const char* to, const char* message) {
    const TemporaryFile file("standard.yaml", replace_once(text, from, to));
    CHECK_THROWS(resolve_by_name(file.path(), "HBM3_16Gb_8hi", "HBM3_8000Mbps"), ConfigError, message);
    CHECK_THROWS(resolve_by_name(file.path(), "HBM3_16Gb_8hi", "HBM3_8000Mbps"), ConfigError, file.path() + ":");
  };
  refused("[pseudochannel, [ACT], [ACT], nFAW, last 4]", "[pseudochannel, [ACTT], [ACT], nFAW, last 4]", "command 'ACTT' is unknown; did you mean 'ACT'?");
  refused("[pseudochannel, [ACT], [ACT], nFAW, last 4]", "[row, [ACT], [ACT], nFAW, last 4]", "rows and columns carry no timing");
  refused("[pseudochannel, [ACT], [ACT], nFAW, last 4]", "[pseudochannel, [ACT], [ACT], nFAWW, last 4]", "'nFAWW' is no parameter of HBM3; did you mean 'nFAW'?");
  refused("rate: 6400, nBL: 2", "rate: 6400, nBLL: 2", "'nBLL' is unknown in a preset; did you mean 'nBL'?");
  refused("rate: 6400, nBL: 2, ", "rate: 6400, ", "'nBL' is missing, and no derived step gives it");
  refused("HBM3_4Gb: {density: 4096, dq: 32", "HBM3_4Gb: {densty: 4096, dq: 32", "'densty' is unknown in a preset; did you mean 'density'?");
  refused("{name: nRFMab, formula: nRFC", "{name: nRFMabb, formula: nRFC", "'nRFMabb' is no timing parameter; did you mean 'nRFMab'?");
  refused("{key_max: 4096, value: 260}", "{key_most: 4096, value: 260}", "'value' or a name with _max or _min is expected, found 'key_most'");
  refused("HBM3_8000Mbps: {scaled_from: HBM3_6400Mbps,", "HBM3_8000Mbps: {scaled_from: HBM3_6400Mbp,", "did you mean 'HBM3_6400Mbps'?");
  refused("HBM3_8000Mbps: {scaled_from: HBM3_6400Mbps, rate: 8000, tCK_ps: 500}", "HBM3_8000Mbps: {scaled_from: HBM3_6400Mbps, rate: 8000}", "tCK_ps of the scaled preset is needed");
  refused("RD: {accessing: true, bus: column", "RD: {accessing: true, bus: colum", "bus 'colum' is unknown; did you mean 'column'?");
  refused("ACT: {opening: true, bus: row, bus_cycles: 1.5", "ACT: {opening: true, bus: row, bus_cycles: 1.3", "must be whole ticks, at least one");
  refused("  answers: {open: ACT, close: PREpb, close_all: PREab}  # what the rules answer\n", "", "a prerequisite answers with the command that closes a bank");
  refused("    bank: {ACT: open_row, PREpb", "    row: {ACT: open_row, PREpb", "rows and columns carry no state");
  refused("refresh_per_bank: {request: per-bank-refresh, level: pseudochannel", "refresh_per_bank: {request: per-bank-refresh, level: row", "rows and columns are not refreshed");
}
