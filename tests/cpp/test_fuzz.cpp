// Damaged configurations and traces: every one either runs or ends in one of moeram's own errors, soon. Seeds are fixed; the
// builds with sanitizers run this too.
#include <algorithm>
#include <chrono>
#include <functional>
#include <random>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/system/ramulator_config.h"
#include "support.h"

using namespace moeram;

namespace {

const std::vector<std::string> kWords = {
    "-1", "0", "1", "2", "99999999999999999999", "1e308", "-0x7fffffff", "2147483648", "4294967297", "nan", "[]", "{}", "[1, 2]", "{a: b}", "null", "~", "true",
    "&a", "*a", "!include ./x", "!!binary", "|", "\"", "'", ":", ",", "#", "%", "\t", "\xff\xfe", "impl: X", "<<: {}", "\n", "\n\n    - ", "HBM3", "DDR5", "SimpleO3"};

std::string damaged(std::string text, std::mt19937_64& random) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : static_cast<std::size_t>(random() % limit); };
  for (std::size_t i = 0, times = 1 + below(3); i < times; ++i) {
    const std::size_t at = below(text.size());
    const std::size_t end = std::min(text.find_first_of(" ,:}]\n", at), text.size());
    const std::size_t line = text.rfind('\n', at) == std::string::npos ? 0 : text.rfind('\n', at) + 1;
    const std::size_t next_line = std::min(text.find('\n', at), text.size());
    switch (below(8)) {
      case 0: text.resize(at); break;
      case 1: text.erase(line, next_line - line); break;
      case 2: text.insert(line, text.substr(line, next_line - line) + "\n"); break;
      case 3: text.insert(at, kWords[below(kWords.size())]); break;
      case 4: case 5: text.replace(at, end - at, kWords[below(kWords.size())]); break;
      case 6: text.insert(at, 1, static_cast<char>(random())); break;
      default: if (!text.empty()) text[at] = static_cast<char>(random()); break;
    }
  }
  return text;
}

// The message of the error, "" if it ran.
std::string outcome(const std::string& config) {
  try {
    RamulatorRun run(Params::from_text(config, "fuzz.yaml"), false);
    run.run(true, 3000);
    CHECK(run.statistics().size() > 100);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string memory(const std::string& standard, const std::string& organization, const std::string& timing, bool bh = false) {
  const std::string b = bh ? "BH" : "";
  return "MemorySystem:\n  impl: " + std::string(bh ? "BHDRAMSystem" : "GenericDRAM") + "\n  clock_ratio: 3\n  DRAM:\n    impl: " + standard +
         "\n    org: {preset: " + organization + ", channel: 2}\n    timing:\n      preset: " + timing + "\n      nRCD: 17\n  AddrMapper: {impl: MOP4CLXOR}\n  " +
         (bh ? "BHDRAM" : "") + "Controller:\n    impl: " + (bh ? "BHDRAMController" : "Generic") + "\n    wr_low_watermark: 0.3\n    " + b +
         "Scheduler: {impl: " + (bh ? "BHScheduler" : "FRFCFS") + "}\n    RefreshManager: {impl: AllBank, id: refresher}\n    RowPolicy: {impl: ClosedRowPolicy, cap: 3}\n" +
         "    plugins:\n    - ControllerPlugin: {impl: ActivationMeter, window_ns: 5000}\n";
}

std::string load_store(const std::string& trace) { return "Frontend:\n  impl: LoadStoreTrace\n  clock_ratio: 8\n  path: '" + trace + "'\n"; }

std::string cores(const std::string& impl, const std::string& trace) {
  return "Frontend:\n  impl: " + impl + "\n  clock_ratio: 8\n  num_expected_insts: 500\n  llc_capacity_per_core: 4KB\n  llc_latency: 7\n  traces: ['" + trace +
         "', '" + trace + "']\n  Translation: {impl: RandomTranslation, max_addr: 1048576, seed: 5}\n";
}

const std::string kLoadStore = "LD 0x0\nST 64\nLD 4096\nST 0x12345678\nLD 17\n";
const std::string kCore = "3 64\n0 4096 8192\n7 123456 -1\n20 0\n";
const std::string kVectors = "R 0,0,1,2,3,4\nW 1,0,3,3,65535,127\n";

std::string with(const std::string& text, const std::string& word, const std::string& path) {
  const auto at = text.find(word);
  return at == std::string::npos ? text : with(text.substr(0, at) + path + text.substr(at + word.size()), word, path);
}

// How many of the damaged texts were refused.
int fuzz(unsigned seed, int rounds, const std::string& good, const std::function<std::string(const std::string&)>& run) {
  CHECK_EQUAL(run(good), "");
  std::mt19937_64 random(seed);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::string text = damaged(good, random);
    const auto begin = std::chrono::steady_clock::now();
    std::string message;
    try {
      message = run(text);
    } catch (const std::exception& error) {
      check::fail(__FILE__, __LINE__, "round " + std::to_string(round) + ": " + error.what() + " for\n" + text);
    }
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (seconds > 20) check::fail(__FILE__, __LINE__, "round " + std::to_string(round) + ": took " + std::to_string(seconds) + " s for\n" + text);
    CHECK(std::none_of(message.begin(), message.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }));
    refused += !message.empty();
  }
  return refused;
}

}  // namespace

TEST(fuzz, "Do damaged configurations run or end in one message?") {
  const TemporaryFile trace("fuzz.trace", kLoadStore), core("fuzz.core", kCore);
  // The paths are put in after the damage, so that it is the same wherever temporary files lie.
  const auto run = [&](const std::string& text) { return outcome(with(with(text, "$TRACE", trace.path()), "$CORE", core.path())); };
  const std::vector<std::string> good = {load_store("$TRACE") + memory("DDR4", "DDR4_8Gb_x8", "DDR4_2400R"),
                                         cores("SimpleO3", "$CORE") + memory("DDR4", "DDR4_8Gb_x8", "DDR4_2400R"),
                                         cores("BHO3", "$CORE") + memory("DDR4", "DDR4_8Gb_x8", "DDR4_2400R", true)};
  for (std::size_t i = 0; i < good.size(); ++i) CHECK(fuzz(static_cast<unsigned>(i), 250, good[i], run) > 100);
}

TEST(fuzz, "Does a value of several lines stay on one line of its message?") {
  const TemporaryFile trace("fuzz.trace", kLoadStore);
  const auto message = outcome(replace_once(load_store(trace.path()) + memory("DDR4", "DDR4_8Gb_x8", "DDR4_2400R"), "cap: 3", "cap: \"3\\n4\""));
  CHECK(message.find("'3?4' is not a whole number") != std::string::npos);
}

TEST(fuzz, "Do damaged traces run or end in one message?") {
  const auto with_trace = [](auto front) {
    return [front](const std::string& text) {
      const TemporaryFile trace("fuzz.trace", text);
      return outcome(front(trace.path()) + memory("DDR4", "DDR4_8Gb_x8", "DDR4_2400R"));
    };
  };
  CHECK(fuzz(11, 200, kLoadStore, with_trace(load_store)) > 80);
  CHECK(fuzz(12, 200, kCore, with_trace([](const std::string& path) { return cores("SimpleO3", path); })) > 80);
  const auto vectors = [](const std::string& path) { return "Frontend: {impl: ReadWriteTraceFixed, clock_ratio: 8, path: '" + path + "'}\n"; };
  CHECK(fuzz(13, 200, kVectors, with_trace(vectors)) > 80);
}

TEST(fuzz, "Are endless lines, folders and bombs refused?") {
  const TemporaryFile long_line("long.trace", std::string(1 << 20, 'L'));
  CHECK(outcome(load_store(long_line.path()) + memory("DDR4", "DDR4_8Gb_x8", "DDR4_2400R")).find("long.trace:1: longer than 4096") != std::string::npos);
  CHECK(outcome(load_store("/") + memory("DDR4", "DDR4_8Gb_x8", "DDR4_2400R")).find("is a folder") != std::string::npos);
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 60; ++i) bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + ", *a" + std::to_string(i - 1) + "]\n";
  CHECK(!outcome(bomb).empty());
}
