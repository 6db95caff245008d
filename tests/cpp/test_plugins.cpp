// Controller plug-ins: do they count and write what happened?
#include <algorithm>
#include <filesystem>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/plugin/activation_meter.h"
#include "moeram/plugin/command_counter.h"
#include "moeram/plugin/command_trace.h"
#include "moeram/system/ramulator_config.h"
#include "support.h"

using namespace moeram;

namespace {

Request activation(int bank, int row) {
  Request request = request_of(kRead, 0, {0, 0, bank / 4, bank % 4, row, 0});
  request.bank = bank;
  return request;
}

std::string described(const CommandListener& listener) {
  Component out{"x", "x", "", {}, {}};
  listener.describe(out);
  return to_text(out);
}

std::string config(const std::string& plugins, const std::string& trace) {
  return "Frontend: {impl: LoadStoreTrace, path: '" + trace + "', clock_ratio: 1}\nMemorySystem:\n  impl: GenericDRAM\n  clock_ratio: 1\n" +
         "  DRAM: {impl: DDR4, org: {preset: DDR4_8Gb_x8}, timing: {preset: DDR4_2400R}}\n  AddrMapper: {impl: RoBaRaCoCh}\n  Controller:\n    impl: Generic\n" +
         "    Scheduler: {impl: FRFCFS}\n    RefreshManager: {impl: AllBank}\n    RowPolicy: {impl: OpenRowPolicy}\n    plugins:\n" + plugins;
}

}  // namespace

TEST(plugins, "Are the most activations of a row found in their window?") {
  const Spec spec = ddr4();
  const int act = spec.command("ACT"), rd = spec.command("RD");
  ActivationMeter meter(spec, 0, 100);
  for (const Cycle now : {10, 20, 30}) meter.on_command(now, act, activation(3, 7));
  meter.on_command(40, rd, activation(3, 7));
  meter.on_command(99, act, activation(3, 8));
  for (const Cycle now : {100, 110}) meter.on_command(now, act, activation(3, 7));  // a new window: counts start at 0
  for (const Cycle now : {510, 520, 530, 599}) meter.on_command(now, act, activation(5, 7));
  const std::string text = described(meter);
  for (const char* line : {"max_act_per_row_0: 4\n", "max_act_bank_0: 5\n", "max_act_row_0: 7\n", "max_act_window_0: 5\n", "window_cycles_0: 100\n"}) {
    CHECK(text.find(line) != std::string::npos);
  }
  CHECK_EQUAL(ActivationMeter::standard_window(spec), 8192 * 9364);  // 7.8 us at 0.833 ns: 9363.7
}

// A row conflict in every access: as many activations as reads whose first command was issued.
TEST(plugins, "Does a run print them, and nothing where they are not asked for?") {
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += "LD " + std::to_string((i % 2) * 1048576LL * 64) + "\n";
  const TemporaryFile trace("meter.trace", lines);
  RamulatorRun run(Params::from_text(config("    - ControllerPlugin: {impl: ActivationMeter, window_ns: 1e9}\n", trace.path()), "x.yaml"), true);
  const auto recorder = std::make_shared<Recorder>();
  run.memory().channels()[0]->add_listener(recorder);
  run.run();
  std::map<std::int32_t, int> activations;
  for (const auto& entry : recorder->entries) activations[entry.address[4]] += entry.command == run.memory().spec().command("ACT");
  int most = 0;
  for (const auto& [row, count] : activations) most = std::max(most, count);
  CHECK(run.statistics().find("max_act_per_row_0: " + std::to_string(most) + "\n") != std::string::npos);
  RamulatorRun plain(Params::from_text(config("    []\n", trace.path()), "x.yaml"), true);
  plain.run();
  CHECK(plain.statistics().find("max_act") == std::string::npos);
  CHECK_THROWS(RamulatorRun(Params::from_text(config("    - ControllerPlugin: {impl: ActivationMeter, window_ns: 0}\n", trace.path()), "x.yaml"), true), ConfigError,
               "window_ns: must be at least one cycle");
}

TEST(plugins, "Q32: does the command counter count all commands, wanted ones without any too, and write one file?") {
  const TemporaryFile out("counts.txt", "");
  const Spec spec = ddr4();
  CommandCounter counter(spec, {"REFab", "RD"}, out.path());
  const std::vector<std::pair<const char*, int>> issued = {{"ACT", 3}, {"RD", 5}, {"PRE", 2}};
  for (const auto& [name, times] : issued) {
    for (int i = 0; i < times; ++i) counter.on_command(i, spec.command(name), activation(0, 0));
  }
  counter.finish();
  const std::string text = read_file(out.path());
  for (const char* line : {"ACT, 3\n", "RD, 5\n", "PRE, 2\n", "REFab, 0\n"}) CHECK(text.find(line) != std::string::npos);
  CHECK_EQUAL(std::count(text.begin(), text.end(), '\n'), 4);
  CommandCounter second(spec, {"ACT"}, out.path());  // another channel: the last one wins
  second.finish();
  CHECK_EQUAL(read_file(out.path()), "ACT, 0\n");
  CHECK_THROWS(CommandCounter(spec, {"ACTT"}, out.path()), ConfigError, "command 'ACTT' does not exist in DDR4");
}

TEST(plugins, "Do the counter and the recorder of one run agree?") {
  std::string lines;
  for (int i = 0; i < 400; ++i) lines += (i % 3 == 0 ? "ST " : "LD ") + std::to_string(i * 7919LL % 4096 * 262144) + "\n";
  const TemporaryFile trace("agree.trace", lines), counts("agree.counts", ""), commands("agree.cmd", "");
  RamulatorRun run(Params::from_text(config("    - ControllerPlugin: {impl: CommandCounter, path: '" + counts.path() +
                                                "', commands_to_count: [PREA]}\n    - ControllerPlugin: {impl: TraceRecorder, path: '" + commands.path() + "'}\n",
                                            trace.path()),
                                     "x.yaml"),
                   true);
  run.run();
  const std::string text = read_file(commands.path() + ".ch0");
  std::filesystem::remove(commands.path() + ".ch0");
  const std::string counted = read_file(counts.path());
  int kinds = 0;
  for (const char* name : {"ACT", "PRE", "RD", "WR", "PREA", "REFab"}) {
    std::int64_t times = 0;
    for (auto at = text.find(std::string(", ") + name + ", "); at != std::string::npos; at = text.find(std::string(", ") + name + ", ", at + 1)) ++times;
    if (times == 0 && std::string(name) != "PREA") continue;
    ++kinds;
    CHECK(counted.find(std::string(name) + ", " + std::to_string(times) + "\n") != std::string::npos);
  }
  CHECK(kinds >= 4);
}
