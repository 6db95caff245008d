// Which command next, and when? Worked timelines of the Generic controller.
#include "check.h"
#include "moeram/base/errors.h"
#include "support.h"

using namespace moeram;

namespace {

constexpr int kDdr4Read = kRead;
constexpr int kDdr4Write = kWrite;

// A controller with a recorder, driven by hand.
struct Bench {
  explicit Bench(const Spec& s, ControllerOptions options = no_refresh()) : spec(s), controller(spec, 0, options), recorder(std::make_shared<Recorder>()) {
    controller.add_listener(recorder);
  }
  static ControllerOptions no_refresh() {
    ControllerOptions options;
    options.refresh = "None";
    return options;
  }
  bool send(int kind, std::int64_t byte_address, const std::vector<int>& entries) { return controller.send(request_of(kind, byte_address, entries)); }
  void tick_to(Cycle cycle) {
    while (controller.now() < cycle) controller.tick();
  }
  // Commands since the last call, as text.
  std::string commands() {
    const std::string text = text_of(spec, recorder->entries);
    recorder->entries.clear();
    return text;
  }
  Spec spec;
  Controller controller;
  std::shared_ptr<Recorder> recorder;
};

// The c-th burst of row 0 in bank 0.
std::vector<int> column(int c) { return {0, 0, 0, 0, 0, c}; }
std::vector<int> bank(int b, int row) { return {0, 0, b / 4, b % 4, row, 0}; }

// Run until a command for row 7 is issued; how many came before it.
int commands_before_row_seven(Bench& bench) {
  while (bench.recorder->entries.empty() || bench.recorder->entries.back().address[4] != 7) bench.controller.tick();
  return static_cast<int>(bench.recorder->entries.size()) - 1;
}

}  // namespace

//, every clock of the table; A + 136 lies in the burst of A + 128 but has another byte address.
TEST(controller, "Does the worked timeline of the specification come out?") {
  Bench bench(ddr4());
  CHECK(bench.send(kDdr4Read, 0, column(0)));
  bench.tick_to(60);
  CHECK_EQUAL(bench.commands(), "1 ACT, 17 RD");
  CHECK(bench.controller.drained());
  CHECK(bench.send(kDdr4Read, 64, column(1)));
  CHECK(bench.send(kDdr4Write, 128, column(2)));
  CHECK(bench.send(kDdr4Read, 128, column(2)));
  CHECK(bench.send(kDdr4Read, 136, column(2)));
  bench.tick_to(61);
  CHECK_EQUAL(bench.controller.statistics().read_latency_sum, 37 + 62);  // the first read and the forwarded one
  bench.tick_to(86);
  CHECK(!bench.controller.drained());
  bench.tick_to(87);
  CHECK_EQUAL(bench.commands(), "61 RD, 67 RD, 77 WR");
  CHECK_EQUAL(bench.controller.statistics().read_latency_sum, 147);
  CHECK(bench.controller.drained());
  CHECK_EQUAL(bench.controller.statistics().row_hits, 3);
  CHECK_EQUAL(bench.controller.statistics().row_misses, 1);
}

// Appendix C 3.
TEST(controller, "Do 40 sends of each kind without a tick fill 33 + 33 places?") {
  Bench bench(ddr4());
  int reads = 0, writes = 0;
  for (int i = 0; i < 40; ++i) reads += bench.send(kDdr4Read, 64 * i, column(i));
  for (int i = 0; i < 40; ++i) writes += bench.send(kDdr4Write, 1000000 + 64 * i, column(i));
  CHECK_EQUAL(reads, 33);
  CHECK_EQUAL(writes, 33);
  CHECK_EQUAL(bench.controller.statistics().read_attempts, 40);  // refused attempts count too
  CHECK_EQUAL(bench.controller.statistics().write_attempts, 40);
}

//, 3: needs no slot, the same byte address, and only the write buffer counts.
TEST(controller, "Is a read forwarded from the write buffer only, and without a free place?") {
  Bench bench(ddr4());
  CHECK(bench.send(kDdr4Write, 5000, column(0)));
  for (int i = 0; i < 33; ++i) CHECK(bench.send(kDdr4Read, 64 * i, column(i)));
  CHECK(!bench.send(kDdr4Read, 5064, column(1)));
  CHECK(bench.send(kDdr4Read, 5000, column(0)));
  bench.tick_to(1);
  CHECK_EQUAL(bench.controller.statistics().read_latency_sum, 2);  // depart 1 less arrive -1
  Bench late(ddr4());
  CHECK(late.send(kDdr4Write, 0, column(0)));
  late.tick_to(1);  // ACT issued: the write stands in the active buffer now
  CHECK_EQUAL(late.commands(), "1 ACT");
  CHECK(late.send(kDdr4Read, 0, column(0)));
  late.tick_to(2);
  CHECK_EQUAL(late.controller.statistics().read_latency_sum, 0);
}

// Appendix C 4: read mode turns at W > 25.6 or R = 0, write mode turns back at W < 6.4 and R > 0.
TEST(controller, "Does the mode turn at the 26th write and stay until fewer than seven are left?") {
  for (const int writes : {25, 26}) {
    Bench bench(ddr4());
    for (int i = 0; i < writes; ++i) CHECK(bench.send(kDdr4Write, 1000000 + 64 * i, {0, 0, 0, 0, 0, i}));
    CHECK(bench.send(kDdr4Read, 0, {0, 0, 3, 3, 7, 0}));
    bench.tick_to(1);
    const bool write_first = bench.recorder->entries.at(0).address[4] == 0;
    CHECK_EQUAL(write_first, writes == 26);
  }
  // In write mode with a read waiting: the one that is activated leaves the buffer, so the read goes when 6 are left.
  Bench bench(ddr4());
  for (int i = 0; i < 26; ++i) CHECK(bench.send(kDdr4Write, 1000000 + 64 * i, {0, 0, 0, 0, 0, i}));
  CHECK(bench.send(kDdr4Read, 0, {0, 0, 3, 3, 7, 0}));
  CHECK_EQUAL(commands_before_row_seven(bench), 1 + 20);  // ACT, then WR down to 6 in the buffer
}

// Watermarks 0.25 and 0.75 are exact products 8 and 24: the comparisons are strict.
TEST(controller, "Are exact watermarks compared strictly?") {
  ControllerOptions options = Bench::no_refresh();
  options.write_low_watermark = 0.25F;
  options.write_high_watermark = 0.75F;
  for (const int writes : {24, 25}) {
    Bench bench(ddr4(), options);
    for (int i = 0; i < writes; ++i) CHECK(bench.send(kDdr4Write, 1000000 + 64 * i, {0, 0, 0, 0, 0, i}));
    CHECK(bench.send(kDdr4Read, 0, {0, 0, 3, 3, 7, 0}));
    bench.tick_to(1);
    CHECK_EQUAL(bench.recorder->entries.at(0).address[4] == 0, writes == 25);
    if (writes == 25) CHECK_EQUAL(commands_before_row_seven(bench), 1 + 18);  // ACT, then WR down to 7 in the buffer: 8 are not fewer than 8
  }
}

// 4.5: ACT for a request at 1; a conflicting request to the same bank may not close the row before the RD at 17.
TEST(controller, "Does the closing guard keep an opened row until its data are read?") {
  Bench bench(ddr4());
  CHECK(bench.send(kDdr4Read, 0, bank(0, 1)));
  CHECK(bench.send(kDdr4Read, 64, bank(0, 2)));
  bench.tick_to(120);
  // PRE waits for nRAS (1 + 39 = 40) after RD + nRTP (17 + 9 = 26); ACT nRP later and not before nRC (1 + 55 = 56); RD nRCD later
  CHECK_EQUAL(bench.commands(), "1 ACT, 17 RD, 40 PRE, 56 ACT, 72 RD");
  CHECK_EQUAL(bench.controller.statistics().row_conflicts, 1);
}

// The guard acts while timing alone would let the PRE go: nRAS 2 ends before nRCD 16.
TEST(controller, "Does the closing guard hold when timing would not?") {
  DeviceOptions device;
  device.organization_preset = "DDR4_8Gb_x8";
  device.timing_preset = "DDR4_2400R";
  device.timing_cycles = {{"nRAS", 2}, {"nRC", 3}};
  Bench bench(resolve(find_standard("DDR4"), device));
  CHECK(bench.send(kDdr4Read, 0, bank(0, 1)));
  CHECK(bench.send(kDdr4Read, 64, bank(0, 2)));
  CHECK(bench.send(kDdr4Read, 128, bank(5, 3)));
  bench.tick_to(60);
  // PRE of bank 0 is ready at 3 and older than the ACT of bank 5 (ready at 1 + nRRDS 4): it is cancelled and no second best is tried
  // until the RD at 17. Then PRE waits for RD + nRTP 9 = 26 and the ACT goes first.
  CHECK_EQUAL(bench.commands(), "1 ACT, 17 RD, 18 ACT, 26 PRE, 34 RD, 42 ACT, 58 RD");
}

// 4.4: nRRDS 4 between bank groups, nRRDL 6 inside one; the fifth ACT waits nFAW 26 after the first.
TEST(controller, "Are activations spaced by nRRDS, nRRDL and nFAW?") {
  Bench bench(ddr4());
  for (const int b : {0, 4, 8, 12, 1}) CHECK(bench.send(kDdr4Read, 64 * b, bank(b, 0)));
  bench.tick_to(28);
  CHECK_EQUAL(bench.commands(), "1 ACT, 5 ACT, 9 ACT, 13 ACT, 17 RD, 21 RD, 25 RD, 27 ACT");
  Bench same_group(ddr4());
  for (const int b : {0, 1}) CHECK(same_group.send(kDdr4Read, 64 * b, bank(b, 0)));
  same_group.tick_to(16);
  CHECK_EQUAL(same_group.commands(), "1 ACT, 7 ACT");
}

// 6.5: at nREFI = 9364 all ranks are asked; PREA only if a bank is open, REFab nRP 16 later.
TEST(controller, "Is every rank refreshed at nREFI and blocked for nRFC?") {
  Bench bench(ddr4({{"rank", 2}}), {});
  bench.tick_to(9350);
  CHECK_EQUAL(bench.commands(), "");
  CHECK(bench.send(kDdr4Read, 0, column(0)));
  bench.tick_to(9380);
  CHECK(bench.send(kDdr4Read, 64, column(1)));
  bench.tick_to(9900);
  // ACT 9351, RD 9367, PREA at ACT + nRAS = 9390, REFab + nRP = 9406, rank 1 next tick; then rank 0 opens at 9406 + nRFC 433
  CHECK_EQUAL(bench.commands(), "9351 ACT, 9367 RD, 9390 PREA, 9406 REFab, 9407 REFab, 9839 ACT, 9855 RD");
}

TEST(controller, "Does an idle rank refresh every nREFI exactly?") {
  Bench bench(ddr4(), {});
  bench.tick_to(4 * 9364 - 1);
  CHECK_EQUAL(bench.commands(), "9364 REFab, 18728 REFab, 28092 REFab");
}

// 6.7: with cap 1 each access sends a close-row ahead of all else; PRE at ACT + nRAS.
TEST(controller, "Does the closed row policy close after its cap?") {
  ControllerOptions options = Bench::no_refresh();
  options.row_policy = "ClosedRowPolicy";
  options.row_policy_cap = 1;
  Bench bench(ddr4(), options);
  CHECK(bench.send(kDdr4Read, 0, column(0)));
  CHECK(bench.send(kDdr4Read, 64, column(1)));
  bench.tick_to(100);
  CHECK_EQUAL(bench.commands(), "1 ACT, 17 RD, 40 PRE, 56 ACT, 72 RD, 95 PRE");
  CHECK_EQUAL(bench.controller.row_policy().closing_requests(), 2);
}

TEST(controller, "Is a request of an unknown kind or policy refused by name?") {
  Bench bench(ddr4());
  CHECK_THROWS(bench.send(17, 0, column(0)), EngineError, "request kind 17 does not exist in DDR4");
  ControllerOptions options;
  options.scheduler = "FRFCFSS";
  CHECK_THROWS(Controller(bench.spec, 0, options), ConfigError, "did you mean 'FRFCFS'?");
  const Spec hbm3 = resolve_by_name("HBM3", "HBM3_4Gb", "HBM3_2Gbps");
  options = {};
  options.row_policy = "ClosedRowPolicy";
  CHECK_THROWS(Controller(hbm3, 0, options), ConfigError, "HBM3 lacks one");
}

// Appendix C 6: HBM3 of 2.0 never refreshes.
TEST(controller, "Does HBM3 of Ramulator 2.0 never refresh?") {
  Bench bench(resolve_by_name("HBM3", "HBM3_4Gb", "HBM3_2Gbps"), {});
  bench.tick_to(20000);
  CHECK_EQUAL(bench.commands(), "");
}
