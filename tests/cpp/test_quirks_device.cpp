// Oddities of Ramulator 2.0's devices, by the numbers of docs/compatibility.md.
#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/dram/device.h"
#include "support.h"

using namespace moeram;

namespace {

struct Lpddr5 {
  explicit Lpddr5(const std::string& edition)
      : spec(resolve_by_name("LPDDR5@" + edition, "LPDDR5_8Gb_x16", "LPDDR5_6400")), device(spec), address(address_of({0, 0, 0, 0, 0, 0})) {}
  void issue(int command, Cycle now) {
    device.tick(now);
    device.issue(command, address, now);
  }
  void open() {
    issue(spec.two_step->first, 1);
    issue(spec.two_step->second, 2);
  }
  std::string wants(const std::string& command, Cycle now) {
    device.tick(now);
    const int next = device.prerequisite(spec.command(command), address, device.bank_of(address));
    return spec.commands[static_cast<std::size_t>(next)].name;
  }
  Spec spec;
  Device device;
  Address address;
};

}  // namespace

TEST(quirks, "Q19: does LPDDR5@2.0 look for row 0, and @2.1 for the wanted row?") {
  for (const std::string edition : {"2.0", "2.1"}) {
    Lpddr5 memory(edition);
    memory.address = address_of({0, 0, 0, 0, 7, 0});
    memory.open();
    CHECK_EQUAL(memory.wants(edition == "2.0" ? "RD16" : "RD", 100), edition == "2.0" ? "PRE" : "CAS_RD");
  }
}

TEST(quirks, "Q20: does a row test on a half-open bank of LPDDR5@2.0 stop the run, and of @2.1 say no?") {
  Lpddr5 old("2.0");
  old.issue(old.spec.two_step->first, 1);
  CHECK_THROWS(old.device.row_hit(old.address, 0), EngineError, "half opened");
  Lpddr5 corrected("2.1");
  corrected.issue(corrected.spec.two_step->first, 1);
  CHECK(!corrected.device.row_hit(corrected.address, 0));
}

// The numbers of ramulator2_core.md 9: CASRD until t + 4, CASWR t + 12, RD16 t + 3, WR16 t + 11.
TEST(quirks, "Q21: are the clocks of LPDDR5@2.0 in step for as long as a list position?") {
  for (const auto& [command, steps] : std::vector<std::pair<std::string, Cycle>>{{"CASRD", 4}, {"CASWR", 12}, {"RD16", 3}, {"WR16", 11}}) {
    Lpddr5 memory("2.0");
    memory.open();
    memory.issue(memory.spec.command(command), 100);
    CHECK_EQUAL(memory.wants("RD16", 100 + steps), "RD16");
    CHECK_EQUAL(memory.wants("RD16", 100 + steps + 1), "CASRD");
  }
}

// nCL + nBL + 2 - nCWL = 16 + 4 + 2 - 40 < 0: a write may follow a read at once.
TEST(quirks, "Q37: does a negative latency neither warn nor bind?") {
  DeviceOptions options;
  options.organization_preset = "DDR4_8Gb_x8";
  options.timing_preset = "DDR4_2400R";
  options.timing_cycles = {{"nCWL", 40}};
  const Spec spec = resolve(find_standard("DDR4"), options);
  Device device(spec);
  const Address address = address_of({0, 0, 0, 0, 0, 0});
  device.issue(spec.command("ACT"), address, 1);
  const Cycle before = device.ready_at(spec.command("WR"), address, 0);
  device.issue(spec.command("RD"), address, 17);
  CHECK_EQUAL(before, 17);
  CHECK_EQUAL(device.ready_at(spec.command("WR"), address, 0), before);
}
