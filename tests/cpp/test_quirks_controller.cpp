// Oddities of Ramulator 2.0's controller that equal results need, by the numbers of docs/compatibility.md; DDR4-2400R:
// nRCD 16, nCL 16, nBL 4, nRP 16, nRAS 39, nCCDL 6.
#include <random>

#include "check.h"
#include "moeram/mapping/translation.h"
#include "moeram/plugin/row_state_per_command.h"
#include "moeram/system/ramulator_config.h"
#include "support.h"

using namespace moeram;

namespace {

struct Reads : ReadSink {
  void on_read_done(const Request& request) override { done.emplace_back(controller->now(), request.byte_address); }
  Controller* controller = nullptr;
  std::vector<std::pair<Cycle, std::int64_t>> done;
};

struct Bench {
  explicit Bench(Spec of = ddr4()) : spec(std::move(of)), controller(spec, 0, without_refresh()), recorder(std::make_shared<Recorder>()) {
    controller.add_listener(recorder);
    reads.controller = &controller;
    controller.set_read_sink(&reads);
  }
  static ControllerOptions without_refresh() {
    ControllerOptions options;
    options.refresh = "None";
    return options;
  }
  bool send(int kind, std::int64_t byte_address, const std::vector<int>& entries) {
    Request request = request_of(kind, byte_address, entries);
    request.tag = 1;
    return controller.send(request);
  }
  void tick_to(Cycle cycle) {
    while (controller.now() < cycle) controller.tick();
  }
  std::string commands() { return text_of(spec, recorder->entries); }
  Spec spec;
  Controller controller;
  std::shared_ptr<Recorder> recorder;
  Reads reads;
};

std::vector<int> at(int bank, int row, int column) { return {0, 0, bank / 4, bank % 4, row, column}; }

std::string statistics_of(const std::string& trace, const std::string& memory = "", int channels = 1) {
  const TemporaryFile file("quirks.trace", trace);
  RamulatorRun run(Params::from_text("Frontend: {impl: LoadStoreTrace, path: '" + file.path() +
                                         "', clock_ratio: 1}\nMemorySystem:\n  impl: GenericDRAM\n  clock_ratio: 1\n  DRAM: {impl: DDR4, org: {preset: DDR4_8Gb_x8, channel: " +
                                         std::to_string(channels) + "}, timing: {preset: DDR4_2400R}}\n  AddrMapper: {impl: RoBaRaCoCh}\n  Controller:\n    impl: Generic\n    Scheduler: {impl: FRFCFS}\n    RefreshManager: {impl: AllBank}\n" +
                                         (memory.empty() ? "    RowPolicy: {impl: OpenRowPolicy}\n" : memory),
                                     "quirks.yaml"),
                   true);
  run.run();
  return run.statistics();
}

void check_line(const std::string& text, const std::string& line) {
  if (text.find(line + "\n") == std::string::npos) check::fail(__FILE__, __LINE__, "'" + line + "' is not in\n" + text);
}

int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (auto found = text.find(part); found != std::string::npos; found = text.find(part, found + 1)) ++count;
  return count;
}

}  // namespace

TEST(quirks, "Q2, Q14, Q16: does the smallest forwarded read add clock + 2, average in single precision, and nothing drain?") {
  const std::string text = statistics_of("LD 0x0\nST 64\nLD 64\nLD 0x100000\n");
  check_line(text, "  memory_system_cycles: 3");
  check_line(text, "    row_misses_0: 1");
  check_line(text, "    row_hits_0: 0");
  check_line(text, "    read_latency_0: 4");
  check_line(text, "    avg_read_latency_0: 1.33333337");
}

TEST(quirks, "Q3: do refused offers count, and divide the average?") {
  Bench bench;
  for (int i = 0; i < 40; ++i) bench.send(kRead, 64 * i, at(0, 0, i));
  CHECK_EQUAL(bench.controller.statistics().read_attempts, 40);
  bench.tick_to(2000);
  CHECK_EQUAL(bench.reads.done.size(), 33u);
  CHECK_EQUAL(bench.controller.statistics().read_attempts, 40);
}

TEST(quirks, "Q5: does a forwarded read wait behind an older one, and only one complete a tick?") {
  Bench bench;
  bench.send(kRead, 0, at(0, 0, 0));  // ACT 1, RD 17, data 37
  bench.tick_to(20);
  bench.send(kWrite, 1 << 20, at(5, 9, 0));
  bench.send(kRead, 1 << 20, at(5, 9, 0));  // its data would be there at 21
  bench.tick_to(36);
  CHECK(bench.reads.done.empty());
  bench.tick_to(38);
  CHECK_EQUAL(bench.reads.done.size(), 2u);
  CHECK_EQUAL(bench.reads.done[0].first, 37);
  CHECK_EQUAL(bench.reads.done[1].first, 38);
  CHECK_EQUAL(bench.reads.done[1].second, 1 << 20);
}

TEST(quirks, "Q6: does a write never report anything?") {
  Bench bench;
  bench.send(kWrite, 64, at(0, 0, 1));
  bench.tick_to(500);
  CHECK(bench.controller.drained());
  CHECK(bench.reads.done.empty());
}

TEST(quirks, "Q8: does a priority request that is not ready block all normal traffic?") {
  Bench bench;
  bench.send(kRead, 0, at(0, 0, 0));
  bench.tick_to(17);
  Request close = request_of(bench.spec.request("close-row"), -1, at(0, 0, 0));
  CHECK(bench.controller.send_first(close));
  bench.send(kRead, 1 << 20, at(5, 9, 0));  // could be opened at 18
  bench.tick_to(60);
  CHECK_EQUAL(bench.commands(), "1 ACT, 17 RD, 40 PRE, 41 ACT, 57 RD");  // 1 + nRAS 39
}

TEST(quirks, "Q9: does a younger request's ready ACT go before an older row hit that is not ready?") {
  Bench bench;
  bench.send(kRead, 0, at(0, 0, 0));
  bench.tick_to(17);
  bench.send(kRead, 64, at(0, 0, 1));       // a hit, ready at 17 + nCCDL
  bench.send(kRead, 1 << 20, at(5, 9, 0));
  bench.tick_to(23);
  CHECK_EQUAL(bench.commands(), "1 ACT, 17 RD, 18 ACT, 23 RD");
}

TEST(quirks, "Q11: is a row judged at the first command, and what never started or was forwarded not counted?") {
  Bench bench;
  bench.send(kWrite, 1 << 21, at(9, 3, 0));
  bench.send(kRead, 1 << 21, at(9, 3, 0));  // forwarded
  bench.send(kRead, 0, at(0, 0, 0));
  bench.send(kRead, 1 << 20, at(0, 7, 0));  // same bank: no command before the first one's data
  bench.tick_to(10);
  const ControllerStatistics early = bench.controller.statistics();
  CHECK_EQUAL(early.row_misses, 1);
  CHECK_EQUAL(early.row_hits + early.row_conflicts, 0);
  bench.tick_to(45);
  CHECK_EQUAL(bench.controller.statistics().row_conflicts, 1);
}

TEST(quirks, "Q12, Q15: does every channel print its core statistics under the same name, and --lists keep them apart?") {
  const std::string text = statistics_of("LD 0\nLD 64\nLD 128\nLD 192\n", "", 2);
  CHECK_EQUAL(count_of(text, "    read_row_hits_core_0:"), 2);
  CHECK_EQUAL(count_of(text, "  Controller:\n"), 2);
}

TEST(quirks, "Q14: is an average of nothing .nan?") { check_line(statistics_of("ST 0\n"), "    avg_read_latency_0: .nan"); }

// Opened for long (nRCD 5000): 33 reads in banks of ranks 0 to 2 fill the active queue unless `others` is smaller; then two
// rows of one bank of rank 3 are asked for.
int closings_beside(int others) {
  DeviceOptions options;
  options.organization_preset = "DDR4_8Gb_x8";
  options.timing_preset = "DDR4_2400R";
  options.organization = {{"rank", 4}};
  options.timing_cycles = {{"nRCD", 5000}};
  Bench bench(resolve(find_standard("DDR4"), options));
  for (int i = 0; i < others; ++i) CHECK(bench.send(kRead, 64 * i, {0, i / 16, i / 4 % 4, i % 4, 0, 0}));
  bench.tick_to(600);  // all are opened: at most four in nFAW and rank
  CHECK(bench.send(kRead, 1 << 25, {0, 3, 0, 0, 0, 0}));
  bench.tick_to(610);
  CHECK(bench.send(kRead, 1 << 26, {0, 3, 0, 0, 1, 0}));
  bench.tick_to(1000);
  return count_of(bench.commands(), "PRE");
}

TEST(quirks, "Q23: is an opened row unprotected while the active queue is full?") {
  CHECK_EQUAL(closings_beside(32), 0);  // its opener is the last that the queue takes
  CHECK(closings_beside(33) > 0);
}

TEST(quirks, "Q36: do refreshes of DDR4 not hold each other back?") {
  for (const std::string edition : {"2.0", "2.1"}) {
    Bench bench(resolve_by_name("DDR4@" + edition, "DDR4_8Gb_x8", "DDR4_2400R"));
    const Request refresh = request_of(bench.spec.request("all-bank-refresh"), -1, {0, 0, -1, -1, -1, -1});
    CHECK(bench.controller.send_first(refresh));
    CHECK(bench.controller.send_first(refresh));
    bench.tick_to(2000);
    CHECK_EQUAL(bench.commands(), "1 REFab, 2 REFab");
  }
}

TEST(quirks, "Q29: are random pages drawn without marking any as taken?") {
  RandomTranslation translation(8 * 4096, 4096, 123, 1);
  std::mt19937_64 random(123);
  std::vector<std::int64_t> pages;
  bool shared = false;
  for (std::int64_t page = 0; page < 8; ++page) {
    const std::int64_t expected = static_cast<std::int64_t>(random() % 8);
    CHECK_EQUAL(translation.translate(page * 4096 + 17, 0), expected * 4096 + 17);
    for (const auto other : pages) shared = shared || other == expected;
    pages.push_back(expected);
  }
  CHECK(shared);
}

TEST(quirks, "Q35: does the clock follow the rate and not the preset, and do secondary timings stay?") {
  CHECK_EQUAL(resolve_by_name("DDR4", "DDR4_8Gb_x8", "DDR4_2133P").tck_ps, 938);  // 10^6 / 1066; the preset says 937
  DeviceOptions options;
  options.organization_preset = "DDR4_8Gb_x8";
  options.timing_preset = "DDR4_2400R";
  options.timing_cycles = {{"nRAS", 99}};
  const Spec spec = resolve(find_standard("DDR4"), options);
  CHECK_EQUAL(spec.timing.at("nRC"), ddr4().timing.at("nRC"));
}

TEST(quirks, "Q39: does a closed row policy without a cap leave rows open?") {
  std::string trace;
  for (int i = 0; i < 300; ++i) trace += "LD " + std::to_string(64 * (i % 64)) + "\n";
  check_line(statistics_of(trace, "    RowPolicy: {impl: ClosedRowPolicy}\n"), "      num_close_reqs: 0");
  CHECK(statistics_of(trace, "    RowPolicy: {impl: ClosedRowPolicy, cap: 8}\n").find("num_close_reqs: 0") == std::string::npos);
}

TEST(quirks, "Q40: does a priority read count from -1, and not as an attempt?") {
  Bench bench;
  CHECK(bench.controller.send_first(request_of(kRead, 0, at(0, 0, 0))));
  bench.tick_to(40);
  CHECK_EQUAL(bench.commands(), "1 ACT, 17 RD");
  CHECK_EQUAL(bench.controller.statistics().read_latency_sum, 37 + 1);
  CHECK_EQUAL(bench.controller.statistics().read_attempts, 0);
}

TEST(quirks, "Does BHDRAMController's way count row results by command, but not of requests whose row is open for them?") {
  Bench bench;
  const auto rows = std::make_shared<RowStatePerCommand>(bench.spec, 1);
  bench.controller.add_listener(rows);
  bench.send(kRead, 0, at(0, 0, 0));         // ACT: a miss; its RD comes from the active queue
  bench.tick_to(30);
  bench.send(kRead, 64, at(0, 0, 1));        // RD at once: a hit
  bench.tick_to(60);
  bench.send(kRead, 1 << 20, at(0, 7, 0));   // PRE: a conflict, ACT: a miss
  bench.tick_to(200);
  Component out{"x", "x", "", {}, {}};
  rows->describe(out);
  const std::string text = to_text(out);
  check_line(text, "  controller_num_row_hits: 1");
  check_line(text, "  controller_num_row_misses: 2");
  check_line(text, "  controller_num_row_conflicts: 1");
  check_line(text, "  controller_core_row_hits_0: 0");  // without a source
}
