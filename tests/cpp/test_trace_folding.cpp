// Is a load/store trace whose repetitions are taken as done the trace played request by request?
#include <algorithm>
#include <random>
#include <tuple>

#include "check.h"
#include "moeram/frontend/request_runs.h"
#include "moeram/system/ramulator_config.h"
#include "support.h"

using namespace moeram;

namespace {

using Lines = std::vector<TraceEntry>;

std::string text_of(const Lines& lines) {
  std::string text;
  for (const TraceEntry line : lines) text += (line.kind() == kWrite ? "ST " : "LD ") + std::to_string(line.address()) + "\n";
  return text;
}

// `count` requests that go round through a few places, each of which moves by `stride` from round to round.
void add_run(Lines& lines, const Lines& places, std::int64_t stride, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto places_count = static_cast<std::int64_t>(places.size());
    const TraceEntry place = places[static_cast<std::size_t>(i % places_count)];
    lines.push_back({place.value + 2 * stride * (i / places_count)});
  }
}

Lines sequential(std::int64_t first, std::int64_t stride, std::int64_t count, int kind = kRead) {
  Lines lines;
  add_run(lines, {{first * 2 + kind}}, stride, count);
  return lines;
}

// Runs up and down, of several places, of one kind or mixed, and lines without order between them, all below `capacity`.
Lines random_lines(std::mt19937_64& random, std::int64_t capacity) {
  Lines lines;
  const std::int64_t strides[] = {16, 32, 64, 64, 128, 192, 4096, 1 << 15, 100, 0};
  for (std::uint64_t parts = 1 + random() % 3; parts > 0; --parts) {
    const std::int64_t stride = strides[random() % 10] * (random() % 5 == 0 ? -1 : 1);
    const auto count = static_cast<std::int64_t>(random() % 30000);
    const std::uint64_t stores = random() % 3;
    Lines places;
    for (std::uint64_t lanes = random() % 2 == 0 ? 1 : 1 + random() % 4; lanes > 0; --lanes) {
      const auto first = static_cast<std::int64_t>(random() % 4096) * 64 + capacity / 2;
      places.push_back({first * 2 + (random() % 3 < stores ? 1 : 0)});
    }
    const std::int64_t rounds = capacity / 4 / std::max<std::int64_t>(std::abs(stride), 1);  // it ends inside
    add_run(lines, places, stride, std::min(count, rounds * static_cast<std::int64_t>(places.size())));
    for (std::uint64_t loose = random() % 200; loose > 0; --loose) {
      lines.push_back({static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(capacity) * 2 + random() % 2)});
    }
  }
  return lines;
}

struct Outcome {
  std::string statistics;
  std::vector<std::vector<std::int64_t>> counts;  // every command, too
  double folded = 0;
};

Outcome play(TraceCase c, const std::string& trace, bool fold, bool skip = true) {
  c.fold = fold;
  RamulatorRun run(Params::from_text(config_of(c, trace), "case.yaml"), true);
  run.run(skip);
  Outcome out{run.statistics(), {}, run.folded_share()};
  for (const auto& channel : run.memory().channels()) out.counts.push_back(channel->counts());
  return out;
}

double compare(const TraceCase& c, const Lines& lines) {
  const TemporaryFile trace("trace", text_of(lines));
  const Outcome folded = play(c, trace.path(), true);
  const Outcome plain = play(c, trace.path(), false);
  CHECK_EQUAL(folded.statistics, plain.statistics);
  CHECK(folded.counts == plain.counts);
  CHECK_EQUAL(plain.folded, 0);
  return folded.folded;
}

TraceCase hbm3(int channels = 1) { return {"HBM3", "HBM3_4Gb", "HBM3_2Gbps", channels}; }
TraceCase ddr4_case() { return {"DDR4", "DDR4_8Gb_x8", "DDR4_2400R", 1, 2}; }

}  // namespace

TEST(trace_folding, "Does a list of runs give back every request, in order and by number?") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    const Lines lines = random_lines(random, std::int64_t{1} << 30);
    RequestRuns runs;
    for (const TraceEntry line : lines) runs.add(line);
    runs.close();
    CHECK_EQUAL(runs.size(), static_cast<std::int64_t>(lines.size()));
    RequestCursor cursor(runs);
    std::int64_t highest = -1;
    for (std::size_t i = 0; i < lines.size(); ++i, cursor.advance()) {
      CHECK_EQUAL(cursor.due().value, lines[i].value);
      CHECK_EQUAL(runs.at(static_cast<std::int64_t>(i)).value, lines[i].value);
      highest = std::max(highest, lines[i].address());
    }
    CHECK(cursor.finished());
    CHECK_EQUAL(runs.highest_address(), highest);
  }
  RequestRuns one;
  for (const TraceEntry line : sequential(0, 64, 1000000)) one.add(line);
  one.close();
  CHECK_EQUAL(one.runs().size(), 1u);
}

TEST(trace_folding, "Is most of a long sequential trace taken as done, with and without refreshes and over several channels?") {
  CHECK(compare(hbm3(), sequential(0, 16, 100000)) > 0.9);
  CHECK(compare(hbm3(), sequential(0, 64, 100000)) > 0.9);
  CHECK(compare(hbm3(), sequential(1 << 24, -16, 100000)) > 0.9);
  TraceCase many = hbm3(16);
  many.front = 16;
  CHECK(compare(many, sequential(0, 16, 400000)) > 0.5);
  CHECK(compare(ddr4_case(), sequential(4096, 64, 300000)) > 0.4);
  CHECK(compare(ddr4_case(), sequential(4096, 64, 300000, kWrite)) > 0.4);
}

TEST(trace_folding, "Is what follows a fold asked in the right place, hits and conflicts and forwarded reads with what came before?") {
  for (const bool ddr : {false, true}) {
    TraceCase c = ddr ? ddr4_case() : hbm3(2);
    c.refresh = ddr ? "None" : "AllBank";
    Lines lines = sequential(0, 64, 60000, kWrite);
    add_run(lines, sequential(59990 * 64, 64, 10), 0, 100);            // the last lines written, and those around them, again
    add_run(lines, {{8192 * 2}, {8192 * 4 + 1}}, 64, 60000);
    add_run(lines, sequential(30000 * 64, -64, 1000), 0, 1000);
    add_run(lines, {{0}, {64 * 2 + 1}, {4096 * 2}}, 192, 60000);
    CHECK(compare(c, lines) > 0.2);
    c.front = 4;
    CHECK(compare(c, lines) > 0.2);
  }
}

TEST(trace_folding, "Are all statistics the same for random runs, standards, mappers, policies, clock ratios and watermarks?") {
  std::mt19937_64 random(17);
  const auto one_of = [&](auto list) { return *(list.begin() + random() % list.size()); };
  const std::vector<TraceCase> systems = {ddr4_case(), hbm3(), {"DDR5", "DDR5_16Gb_x8", "DDR5_3200AN"}, {"HBM3@2.1", "HBM3_8Gb_8hi", "HBM3_6400Mbps"},
                                          {"LPDDR5@2.1", "LPDDR5_8Gb_x16", "LPDDR5_6400"}, {"DDR3", "DDR3_8Gb_x8", "DDR3_1600K"}};
  const std::initializer_list<const char*> mappers = {"RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR", "RoBaRaCoChMixed", "ChRaBaRoCoMixed"};
  double folded = 0;
  for (int round = 0; round < 60; ++round) {
    TraceCase c = systems[random() % systems.size()];
    c.channels = one_of(std::initializer_list<int>{1, 1, 2, 4});
    c.mapper = one_of(mappers);
    std::tie(c.front, c.memory) = one_of(std::initializer_list<std::pair<int, int>>{{1, 1}, {4, 1}, {3, 2}, {1, 2}, {1, 16}});
    std::tie(c.low, c.high) = one_of(std::initializer_list<std::pair<double, double>>{{0.2, 0.8}, {0.2, 0.8}, {0.1, 0.5}, {0.8, 0.2}, {0.05, 1.0}});
    const bool ddr4 = c.standard == "DDR4";
    if (ddr4) c.cap = one_of(std::initializer_list<int>{0, 0, 1, 4});
    c.energy = ddr4 && random() % 2 == 0;
    if (c.standard == "HBM3@2.1" && random() % 2 == 0) c.refresh = "PerBank";
    folded += compare(c, random_lines(random, std::int64_t{1} << 28));
  }
  CHECK(folded > 5);
}

TEST(trace_folding, "Is a fold the trace ticked through cycle by cycle?") {
  std::mt19937_64 random(23);
  for (const TraceCase& c : {ddr4_case(), hbm3(2)}) {
    const TemporaryFile trace("trace", text_of(sequential(640, 64, 20000)) + text_of(random_lines(random, std::int64_t{1} << 28)));
    const Outcome folded = play(c, trace.path(), true);
    const Outcome ticked = play(c, trace.path(), true, false);
    CHECK(folded.folded > 0);
    CHECK_EQUAL(folded.statistics, ticked.statistics);
    CHECK(folded.counts == ticked.counts);
  }
}

TEST(trace_folding, "Is every request simulated where something watches commands, rows differ or addresses go round?") {
  CHECK_EQUAL(compare(hbm3(), sequential((std::int64_t{1} << 29) - 64, 64, 50000)), 0);  // beyond the capacity
  CHECK_EQUAL(compare({"LPDDR5@2.0", "LPDDR5_8Gb_x16", "LPDDR5_6400"}, sequential(0, 0, 50000)), 0);  // serves row 0 only
  const TemporaryFile trace("trace", text_of(sequential(0, 64, 50000)));
  RamulatorRun run(Params::from_text(config_of(hbm3(), trace.path()), "case.yaml"), true);
  const auto recorder = std::make_shared<Recorder>();
  run.memory().channels()[0]->add_listener(recorder);
  run.run();
  CHECK_EQUAL(run.folded_share(), 0);
  CHECK(recorder->entries.size() >= 50000 - 33);
  RamulatorRun bounded(Params::from_text(config_of(hbm3(), trace.path()), "case.yaml"), true);
  CHECK_THROWS(bounded.run(true, 50000), EngineError, "not finished within 50000 cycles");
}
