// Ramulator 2.0's BHO3 on BHDRAMSystem, without a defence: held against hand-counted times, SimpleO3 and conservation.
#include <algorithm>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/system/ramulator_config.h"
#include "support.h"

using namespace moeram;

namespace {

struct Outcome {
  std::string text;
  std::vector<Recorder::Entry> commands;
  std::int64_t operator[](const std::string& name) const {
    const auto at = text.find(" " + name + ": ");
    if (at == std::string::npos) check::fail(__FILE__, __LINE__, name + " is not in\n" + text);
    return std::stoll(text.substr(at + name.size() + 3));
  }
};

std::string config(bool bh, const std::string& front, const std::string& traces) {
  return "Frontend:\n  impl: " + std::string(bh ? "BHO3" : "SimpleO3") + "\n  clock_ratio: 1\n  llc_latency: 5\n  llc_capacity_per_core: 8KB\n" + front + traces +
         "  Translation: {impl: NoTranslation, max_addr: 2147483648}\nMemorySystem:\n  impl: " + (bh ? "BHDRAMSystem" : "GenericDRAM") +
         "\n  clock_ratio: 1\n  DRAM: {impl: DDR4, org: {preset: DDR4_8Gb_x8}, timing: {preset: DDR4_2400R}}\n  AddrMapper: {impl: RoBaRaCoCh}\n  " +
         (bh ? "BHDRAMController" : "Controller") + ":\n    impl: " + (bh ? "BHDRAMController" : "Generic") + "\n    " + (bh ? "BH" : "") +
         "Scheduler: {impl: " + (bh ? "BHScheduler" : "FRFCFS") + "}\n    RefreshManager: {impl: AllBank}\n    RowPolicy: {impl: OpenRowPolicy}\n";
}

Outcome run_config(const std::string& text, bool skip = true) {
  RamulatorRun run(Params::from_text(text, "bh.yaml"), true);
  const auto recorder = std::make_shared<Recorder>();
  run.memory().channels()[0]->add_listener(recorder);
  run.run(skip, 5000000);
  return {run.statistics(), recorder->entries};
}

std::string quoted_list(const std::string& key, const std::vector<const TemporaryFile*>& files) {
  std::string text = "  " + key + ": [";
  for (const auto* file : files) text += (text.back() == '[' ? "'" : ", '") + file->path() + "'";
  return text + "]\n";
}

std::string scattered(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i) {
    text += std::to_string(i % 7) + " " + std::to_string((i * 7919 % 4096) * 64) + (i % 3 == 0 ? " " + std::to_string((i * 104729 % 8192) * 64) : "") + "\n";
  }
  return text;
}

}  // namespace

// Inserted in cycle 1, sent in 6, ACT 6, RD 22, data at memory cycle 42, which comes after the core's 42nd.
TEST(bh_o3, "Is the wait of a lone load its core cycles from the window to the data?") {
  const TemporaryFile trace("bh.trace", "0 0\n100000000 64\n");
  const Outcome out = run_config(config(true, "  num_expected_insts: 1\n  ipc: 1\n", quoted_list("traces", {&trace})));
  CHECK_EQUAL(text_of(ddr4(), out.commands), "6 ACT, 22 RD");
  CHECK_EQUAL(out["memory_access_cycles_recorded_core_0"], 42 - 1);
  CHECK_EQUAL(out["cycles_recorded_core_0"], 43);
  CHECK_EQUAL(out["insts_recorded_core_0"], 1);
  CHECK_EQUAL(out["memory_requests_recorded_core_0"], 1);
  CHECK_EQUAL(out["llc_mshr_blacklisted"], 0);
}

TEST(bh_o3, "Without attackers, are commands, cycles and cache those of SimpleO3?") {
  const TemporaryFile one("bh1.trace", scattered(500)), two("bh2.trace", scattered(333));
  const std::string front = "  num_expected_insts: 20000\n", traces = quoted_list("traces", {&one, &two});
  const Outcome bh = run_config(config(true, front, traces)), simple = run_config(config(false, front, traces));
  CHECK(bh.commands == simple.commands);
  CHECK(bh.commands.size() > 1000);
  for (const char* name : {"cycles_recorded_core_0", "cycles_recorded_core_1", "llc_read_misses", "llc_eviction", "llc_write_access", "memory_system_cycles",
                           "total_num_write_requests"}) {
    CHECK_EQUAL(bh[name], simple[name]);
  }
}

TEST(bh_o3, "Does a core stop at its cycles if its instructions come later?") {
  const TemporaryFile trace("bh.trace", scattered(500));
  const Outcome out = run_config(config(true, "  num_expected_insts: 1000000\n  num_max_cycles: 5000\n", quoted_list("traces", {&trace})));
  CHECK_EQUAL(out["cycles_recorded_core_0"], 5000);
  CHECK_EQUAL(out["memory_system_cycles"], 4999);
  CHECK(out["insts_recorded_core_0"] > 100 && out["insts_recorded_core_0"] < 20000);
}

// An attacker's line leaves the cache with every completion: each of its loads reads memory anew.
TEST(bh_o3, "Is every line of an attacker flushed, and nobody waits for it?") {
  const TemporaryFile quiet("quiet.trace", "40 0\n"), attacker("attacker.trace", "0 8192\n1000 16384\n");
  const std::string front = "  num_expected_insts: 20000\n";
  const Outcome alone = run_config(config(true, front, quoted_list("traces", {&quiet})));
  CHECK_EQUAL(alone["total_num_read_requests"], 1);
  const Outcome with = run_config(config(true, front, quoted_list("traces", {&quiet}) + quoted_list("no_wait_traces", {&attacker})));
  CHECK(with["total_num_read_requests"] > 10);
  CHECK(with["total_num_read_requests"] - 1 - with["llc_eviction"] <= 2);  // all but those in flight
  CHECK(with["llc_eviction"] < with["total_num_read_requests"]);
  CHECK_EQUAL(with["cycles_recorded_core_0"], alone["cycles_recorded_core_0"]);
  CHECK(with["insts_recorded_core_1"] > 0);
}

TEST(bh_o3, "Does skipping change nothing?") {
  const TemporaryFile one("bh1.trace", scattered(300)), attacker("bh2.trace", "3 4096\n0 8192 12288\n50 65536\n");
  for (const char* limit : {"", "  num_max_cycles: 7001\n"}) {
    const std::string text =
        config(true, std::string("  num_expected_insts: 9000\n") + limit, quoted_list("traces", {&one}) + quoted_list("no_wait_traces", {&attacker, &one}));
    const Outcome fast = run_config(text), slow = run_config(text, false);
    CHECK_EQUAL(fast.text, slow.text);
    CHECK(fast.commands == slow.commands);
  }
}

TEST(bh_o3, "Does a cache that was saved come back, and one of another size be refused?") {
  std::string forty;
  for (int i = 0; i < 40; ++i) forty += "3 " + std::to_string(i * 64) + "\n";
  const TemporaryFile trace("bh.trace", forty), saved("cache.csv", "");
  const std::string traces = quoted_list("traces", {&trace});
  const std::string file = "filename: '" + saved.path() + "'\n";
  const Outcome cold = run_config(config(true, "  num_expected_insts: 3000\n  llc_serialize: true\n  llc_serialization_" + file, traces));
  CHECK_EQUAL(cold["total_num_read_requests"], 40);
  CHECK(cold["llc_read_misses"] >= 40);
  const std::string lines = read_file(saved.path());
  CHECK(lines.starts_with("index,addr,tag,dirty\n"));
  CHECK_EQUAL(std::count(lines.begin(), lines.end(), '\n'), 41);
  const std::string warm_front = "  num_expected_insts: 3000\n  llc_deserialize: true\n  llc_deserialization_" + file;
  CHECK_EQUAL(run_config(config(true, warm_front, traces))["llc_read_misses"], 0);
  CHECK_THROWS(run_config(config(true, warm_front + "  llc_associativity: 2\n", traces)), TraceError, "cache.csv:2: a line of another cache's size");
}
