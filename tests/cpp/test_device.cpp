// Is the gate tight? Readiness against a second opinion that knows only the rows of the Spec and a list of what was issued.
#include <algorithm>
#include <random>

#include "check.h"
#include "moeram/dram/device.h"
#include "support.h"

using namespace moeram;

namespace {

struct Issue {
  int command;
  Address address;
  Cycle at;
};

std::size_t at(int index) { return static_cast<std::size_t>(index); }

//.4 read off an event list: for each level down to the command's scope, each issue that has w - 1
// younger ones and lies on the node (or, for sibling rows, beside it under the same parent) plus the row's latency.
class Oracle {
 public:
  explicit Oracle(const Spec& spec) : spec_(spec) {}
  void issue(const Issue& issue) { issues_.push_back(issue); }

  Cycle ready_at(int command, const Address& address) const {
    Cycle latest = 0;
    visit(0, address, command, latest);
    return latest;
  }

 private:
  void visit(int level, const Address& node, int command, Cycle& latest) const {
    latest = std::max(latest, limit(level, node, command));
    if (level == std::min(spec_.commands[at(command)].scope, spec_.bank_level)) return;
    for (int child = 0; child < spec_.counts[at(level + 1)]; ++child) {
      if (node[at(level + 1)] >= 0 && node[at(level + 1)] != child) continue;
      Address below = node;
      below[at(level + 1)] = child;
      visit(level + 1, below, command, latest);
    }
  }

  Cycle limit(int level, const Address& node, int following) const {
    Cycle latest = 0;
    for (int preceding = 0; preceding < static_cast<int>(spec_.commands.size()); ++preceding) {
      for (const auto& row : spec_.rows[at(level)][at(preceding)]) {
        if (row.following == following) latest = std::max(latest, row_limit(row, preceding, level, node));
      }
    }
    return latest;
  }

  Cycle row_limit(const TimingRow& row, int preceding, int level, const Address& node) const {
    int later = 0;  // issues of the command that are younger than the one looked at
    Cycle latest = 0;
    for (auto event = issues_.rbegin(); event != issues_.rend(); ++event) {
      if (event->command != preceding || !covers(event->address, node, level, row.sibling)) continue;
      if (++later >= (row.sibling ? 1 : row.window)) latest = std::max(latest, event->at + row.latency[class_of(*event)]);
    }
    return latest;
  }

  static bool covers(const Address& issued, const Address& node, int level, bool sibling) {
    for (int l = 1; l < level; ++l) {
      if (issued[at(l)] >= 0 && issued[at(l)] != node[at(l)]) return false;
    }
    const bool same = level == 0 || issued[at(level)] < 0 || issued[at(level)] == node[at(level)];
    return same != sibling;
  }

  std::size_t class_of(const Issue& issue) const {
    if (!spec_.commands[at(issue.command)].opening) return 0;
    std::size_t found = 0;
    while (issue.address[at(spec_.row_level)] >= spec_.classes[found].row_end) ++found;
    return found;
  }

  const Spec& spec_;
  std::vector<Issue> issues_;
};

// Definite down to the scope, wildcards between there and the row.
Address pick(const Spec& spec, int command, std::mt19937& random) {
  Address address{};
  for (int level = 0; level <= spec.row_level; ++level) {
    const bool definite = level == spec.row_level || level <= spec.commands[at(command)].scope;
    address[at(level)] = definite ? static_cast<int>(random() % static_cast<unsigned>(spec.counts[at(level)])) : -1;
  }
  address[0] = 0;
  return address;
}

// `following` beside or on the node of `level` that `preceding` hits; levels below differ where they can.
Address partner(const Spec& spec, const Address& preceding, int following, int level, bool sibling) {
  Address address = preceding;
  for (int l = 1; l <= spec.row_level; ++l) {
    if (l > spec.commands[at(following)].scope && l != spec.row_level) {
      address[at(l)] = -1;
    } else if (l > level || (l == level && sibling) || address[at(l)] < 0) {
      address[at(l)] = (std::max(address[at(l)], 0) + 1) % spec.counts[at(l)];
    }
  }
  return address;
}

void compare_everywhere(const Spec& spec, const Device& device, const Oracle& oracle, std::mt19937& random) {
  for (int command = 0; command < static_cast<int>(spec.commands.size()); ++command) {
    for (int i = 0; i < 4; ++i) {
      const Address address = pick(spec, command, random);
      const Cycle wanted = oracle.ready_at(command, address);
      if (device.ready_at(command, address, device.bank_of(address)) == wanted) continue;
      throw std::logic_error(spec.standard + ": " + spec.commands[at(command)].name + " is ready at " +
                             std::to_string(device.ready_at(command, address, device.bank_of(address))) + ", expected " + std::to_string(wanted));
    }
  }
}

// Each row alone: as many preceding commands as its window asks, one tick apart, then the following one. Returns how many rows
// decided when their following command may go: a row that never decides is no test of itself.
int check_rows(const Spec& spec) {
  int decisive = 0;
  std::mt19937 random(1);
  for (int level = 0; level <= spec.bank_level; ++level) {
    for (int preceding = 0; preceding < static_cast<int>(spec.commands.size()); ++preceding) {
      for (const auto& row : spec.rows[at(level)][at(preceding)]) {
        Device device(spec);
        Oracle oracle(spec);
        const Address first = pick(spec, preceding, random);
        for (int i = 0; i < row.window; ++i) {
          const Issue issue{preceding, first, 1000 + i};
          device.issue(preceding, first, issue.at);
          oracle.issue(issue);
        }
        if (row.sibling && spec.counts[at(level)] == 1) continue;
        const Address second = partner(spec, first, row.following, level, row.sibling);
        const Cycle ready = device.ready_at(row.following, second, device.bank_of(second));
        const Cycle wanted = oracle.ready_at(row.following, second);
        CHECK_EQUAL(ready, wanted);
        const std::size_t row_class = spec.commands[at(preceding)].opening ? at(device.class_of_row(first[at(spec.row_level)])) : 0;
        decisive += wanted == 1000 + row.latency[row_class];
      }
    }
  }
  return decisive;
}

void check_random(const Spec& spec, unsigned seed) {
  std::mt19937 random(seed);
  Device device(spec);
  Oracle oracle(spec);
  Cycle now = 0;
  for (int step = 0; step < 250; ++step) {
    now += 1 + random() % 12;
    device.tick(now);
    const int command = static_cast<int>(random() % spec.commands.size());
    const Issue issue{command, pick(spec, command, random), now};
    device.issue(command, issue.address, now);
    oracle.issue(issue);
    if (step % 5 == 0) compare_everywhere(spec, device, oracle, random);
  }
}

Spec mono3d() {
  DeviceOptions options;
  options.organization_preset = "Stratum_32GB";
  options.timing_preset = "NearMemory_25ps";
  return resolve_with_tiers(find_standard("Mono3D"), options, {});
}

}  // namespace

TEST(device, "Does every DDR4 row hold its following command back to the tick?") {
  const Spec spec = ddr4({{"rank", 2}});
  CHECK(check_rows(spec) > 40);
  for (unsigned seed = 0; seed < 6; ++seed) check_random(spec, seed);
}

TEST(device, "Does every HBM3 row hold its following command back to the tick, those below a scope excepted?") {
  const Spec spec = resolve_by_name("HBM3", "HBM3_4Gb", "HBM3_2Gbps");
  CHECK(check_rows(spec) > 40);
  for (unsigned seed = 0; seed < 6; ++seed) check_random(spec, seed);
}

TEST(device, "Does every Mono3D row hold its following command back to the tick, in the class of the opened row?") {
  const Spec spec = mono3d();
  CHECK_EQUAL(spec.classes.size(), 8u);
  CHECK(check_rows(spec) > 40);
  for (unsigned seed = 0; seed < 6; ++seed) check_random(spec, seed);
}

//; bank must be closed; all banks closed.
TEST(device, "Is the prerequisite what the state asks for?") {
  const Spec spec = ddr4();
  Device device(spec);
  const int act = spec.command("ACT"), pre = spec.command("PRE"), prea = spec.command("PREA"), rd = spec.command("RD"), ref = spec.command("REFab");
  const Address row5 = address_of({0, 0, 1, 2, 5, 0});
  const Address row6 = address_of({0, 0, 1, 2, 6, 0});
  const Address rank = address_of({0, 0, -1, -1, -1, -1});
  const int bank = device.bank_of(row5);
  CHECK_EQUAL(bank, 6);
  CHECK_EQUAL(device.prerequisite(rd, row5, bank), act);
  CHECK_EQUAL(device.prerequisite(pre, row5, bank), pre);
  CHECK_EQUAL(device.prerequisite(ref, rank, -1), ref);
  device.issue(act, row5, 10);
  CHECK_EQUAL(device.prerequisite(rd, row5, bank), rd);
  CHECK_EQUAL(device.prerequisite(rd, row6, bank), pre);
  CHECK_EQUAL(device.prerequisite(ref, rank, -1), prea);
  CHECK(device.row_hit(row5, bank) && !device.row_hit(row6, bank) && device.row_open(bank));
  device.issue(prea, rank, 60);
  CHECK(!device.row_open(bank));
  device.issue(ref, rank, 80);
  CHECK_EQUAL(device.prerequisite(ref, rank, -1), ref);  // refreshing banks do not ask for a PREA
  CHECK_EQUAL(device.prerequisite(rd, row5, bank), act);
  CHECK_EQUAL(device.next_event(), 80 + 432);            // nRFC - 1 later the banks are closed again
}

TEST(device, "Do broadcast commands need all banks in one state?") {
  const Spec spec = mono3d();
  Device device(spec);
  const int act = spec.command("ACT"), act_all = spec.command("ACTab"), pre_all = spec.command("PREab"), read_row = spec.command("ROWRDab");
  const Address row = address_of({0, -1, 100, -1});
  const Address other = address_of({0, -1, 101, -1});
  CHECK_EQUAL(device.prerequisite(read_row, row, -1), act_all);
  device.issue(act, address_of({0, 3, 100, 0}), 1);
  CHECK_EQUAL(device.prerequisite(read_row, row, -1), pre_all);  // one bank open, the others not
  device.issue(pre_all, row, 5000);
  device.issue(act_all, row, 6000);
  CHECK_EQUAL(device.prerequisite(read_row, row, -1), read_row);
  CHECK_EQUAL(device.prerequisite(read_row, other, -1), pre_all);
  CHECK_EQUAL(device.prerequisite(spec.command("RD"), address_of({0, 3, 100, 0}), 3), spec.command("RD"));
}
