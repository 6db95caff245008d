// Does jumping over ticks in which nothing happens change anything?
#include <random>

#include "check.h"
#include "moeram/system/ramulator_config.h"
#include "support.h"

using namespace moeram;

namespace {

using Case = TraceCase;

// Bursts of hits, conflicts and lines that were just written, so that forwarding, refused sends and idle times all occur.
std::string random_trace(unsigned seed, int lines) {
  std::mt19937_64 random(seed);
  std::string text;
  std::uint64_t last = 0;
  for (int i = 0; i < lines; ++i) {
    const auto kind = random() % 10;
    if (kind < 4) last = random() % (std::uint64_t{1} << 33);
    if (kind >= 4 && kind < 8) last += 64;
    text += (random() % 3 == 0 ? "ST " : "LD ") + std::to_string(last) + "\n";
  }
  return text;
}

struct Outcome {
  std::string statistics;
  std::vector<std::vector<Recorder::Entry>> commands;
};

Outcome run_case(const Case& c, const std::string& trace, bool skip) {
  RamulatorRun run(Params::from_text(config_of(c, trace), "case.yaml"), true);
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (const auto& channel : run.memory().channels()) {
    recorders.push_back(std::make_shared<Recorder>());
    channel->add_listener(recorders.back());
  }
  run.run(skip);
  Outcome outcome{run.statistics(), {}};
  for (const auto& recorder : recorders) outcome.commands.push_back(recorder->entries);
  return outcome;
}

void compare(const Case& c, const std::string& trace) {
  const Outcome fast = run_case(c, trace, true);
  const Outcome slow = run_case(c, trace, false);
  CHECK(!slow.commands.at(0).empty());
  CHECK_EQUAL(fast.statistics, slow.statistics);
  CHECK(fast.commands == slow.commands);
}

}  // namespace

TEST(skip, "Are commands and statistics the same with every mapper, policy, clock ratio and watermark?") {
  std::mt19937 random(7);
  const auto one_of = [&](auto list) { return *(list.begin() + random() % list.size()); };
  const std::initializer_list<std::pair<int, int>> ratios = {{1, 1}, {4, 1}, {3, 2}, {1, 2}, {1, 16}};
  const std::initializer_list<std::pair<double, double>> marks = {{0.2, 0.8}, {0.1, 0.5}, {0.5, 0.5}, {0.8, 0.2}, {0.05, 1.0}};
  const std::initializer_list<const char*> mappers = {"RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR"};
  for (unsigned seed = 0; seed < 36; ++seed) {
    const TemporaryFile trace("trace", random_trace(seed, 400));
    const auto [front, memory] = *(ratios.begin() + seed % ratios.size());
    const auto [low, high] = one_of(marks);
    const char* mapper = *(mappers.begin() + seed % mappers.size());
    const int channels = one_of(std::initializer_list<int>{1, 2, 4});
    const bool ddr4_case = seed % 4 != 3;
    const int cap = ddr4_case ? one_of(std::initializer_list<int>{0, 1, 2, 4}) : 0;
    const Case c = ddr4_case ? Case{"DDR4", "DDR4_8Gb_x8", "DDR4_2400R", channels, 1 + static_cast<int>(random() % 2), front, memory, mapper, cap, low, high}
                             : Case{"HBM3", "HBM3_4Gb", "HBM3_2Gbps", channels, 0, front, memory, mapper, cap, low, high};
    compare(c, trace.path());
  }
}

TEST(skip, "Are they the same over several refreshes under light load?") {
  const TemporaryFile trace("trace", random_trace(99, 1500));
  for (const int cap : {0, 2}) compare({"DDR4", "DDR4_16Gb_x4", "DDR4_3200W", 1, 2, 1, 32, "RoBaRaCoCh", cap, 0.2, 0.8}, trace.path());
}

TEST(skip, "Does a jump never pass the tick in which a controller can act?") {
  const Spec spec = ddr4();
  Controller ticked(spec, 0, {});
  Controller jumped(spec, 0, {});
  const auto slow = std::make_shared<Recorder>();
  const auto fast = std::make_shared<Recorder>();
  ticked.add_listener(slow);
  jumped.add_listener(fast);
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 6; ++i) {
      const int b = static_cast<int>(random() % 16);
      const Request request = request_of(static_cast<int>(random() % 2), static_cast<std::int64_t>(random() % 64) * 64, {0, 0, b / 4, b % 4, static_cast<int>(random() % 3), 0});
      CHECK_EQUAL(ticked.send(request), jumped.send(request));
    }
    const Cycle end = ticked.now() + 1 + random() % 700;
    while (ticked.now() < end) ticked.tick();
    while (jumped.now() < end) {
      jumped.tick();
      const Cycle next = std::min(jumped.next_event(), end + 1);
      CHECK(next > jumped.now());
      jumped.pass(next - 1 - jumped.now());
    }
    CHECK_EQUAL(jumped.now(), end);
    CHECK(slow->entries == fast->entries);
    CHECK(ticked.canonical() == jumped.canonical());
    CHECK_EQUAL(ticked.statistics().queue_length_sum, jumped.statistics().queue_length_sum);
    CHECK_EQUAL(ticked.statistics().read_latency_sum, jumped.statistics().read_latency_sum);
  }
  CHECK(slow->entries.size() > 200);
}
