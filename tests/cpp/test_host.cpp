// Can another program drive a memory, and several of them at once?
#include <algorithm>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/host.h"

using namespace moeram;

namespace {

const std::string kMemory =
    "MemorySystem:\n  impl: GenericDRAM\n  clock_ratio: 1\n  DRAM: {impl: DDR4, org: {preset: DDR4_8Gb_x8}, timing: {preset: DDR4_2400R}}\n"
    "  AddrMapper: {impl: RoBaRaCoCh}\n  Controller:\n    impl: Generic\n    Scheduler: {impl: FRFCFS}\n    RefreshManager: {impl: AllBank}\n"
    "    RowPolicy: {impl: OpenRowPolicy}\n";

struct Host {
  explicit Host(const std::vector<std::string>& overrides = {}) : memory(HostedMemory::from_text(kMemory, {overrides, false, ""})) {}
  void read(std::int64_t byte_address) {
    CHECK(memory.read(byte_address, 0, [this](const HostRead& read) { done.push_back({read, memory.now()}); }));
  }
  void tick_to(std::int64_t cycle) {
    while (memory.now() < cycle) memory.tick();
  }
  // As tick_to, but jumping.
  void jump_to(std::int64_t cycle) {
    while (memory.now() < cycle) {
      const std::int64_t next = std::min(memory.next_event(), cycle + 1);
      if (next > memory.now() + 1) memory.pass(next - memory.now() - 1);
      if (memory.now() < cycle) memory.tick();
    }
  }
  struct Done {
    HostRead read;
    std::int64_t at;
  };
  HostedMemory memory;
  std::vector<Done> done;
};

void start(Host& host) { host.read(0); }
void go_on(Host& host) {
  host.read(64);
  CHECK(host.memory.write(128, 0));
  host.read(128);
  host.read(136);
}

}  // namespace

// The timeline that the specification of 2.0 works out for an external driver.
TEST(host, "Do callbacks come in the cycles of the worked timeline?") {
  Host host;
  CHECK_NEAR(host.memory.tick_ns(), 0.833, 1e-9);
  CHECK_EQUAL(host.memory.transaction_bytes(), 64);
  start(host);
  host.tick_to(60);
  CHECK_EQUAL(host.done.size(), 1u);
  CHECK_EQUAL(host.done[0].at, 37);
  CHECK_EQUAL(host.done[0].read.arrive, 0);
  CHECK_EQUAL(host.done[0].read.depart, 37);
  go_on(host);
  host.tick_to(100);
  CHECK_EQUAL(host.done.size(), 4u);
  CHECK_EQUAL(host.done[1].at, 61);
  CHECK_EQUAL(host.done[1].read.byte_address, 128);
  CHECK_EQUAL(host.done[1].read.arrive, -1);
  CHECK_EQUAL(host.done[2].at, 81);
  CHECK_EQUAL(host.done[3].at, 87);
  CHECK_EQUAL(host.done[3].read.byte_address, 136);
  CHECK_EQUAL(host.done[3].read.source, 0);
  const std::string text = host.memory.finish();
  CHECK(text.find("impl: GEM5\n") != std::string::npos);
  CHECK(text.find("read_latency_0: 147\n") != std::string::npos);
}

TEST(host, "Do two memories in one process stay apart, and jumping give the same?") {
  Host one, other, alone;
  start(one);
  start(other);
  for (int cycle = 1; cycle <= 60; ++cycle) {
    one.tick_to(cycle);
    if (cycle % 7 == 0) other.jump_to(cycle);
  }
  other.jump_to(60);
  go_on(one);
  go_on(other);
  start(alone);
  alone.tick_to(60);
  go_on(alone);
  for (Host* host : {&one, &alone}) host->tick_to(20000);
  other.jump_to(20000);
  CHECK_EQUAL(other.done.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) CHECK_EQUAL(other.done[i].at, alone.done[i].at);
  const std::string text = alone.memory.finish();
  CHECK_EQUAL(one.memory.finish(), text);
  CHECK_EQUAL(other.memory.finish(), text);
}

TEST(host, "May a callback send the next request?") {
  HostedMemory memory = HostedMemory::from_text(kMemory);
  int left = 50;
  std::int64_t address = 0;
  std::function<void(const HostRead&)> chase = [&](const HostRead&) {
    address += 8192 * 37;
    if (--left > 0) CHECK(memory.read(address, -1, chase));
  };
  CHECK(memory.read(address, -1, chase));
  while (left > 0) memory.tick();
  CHECK(memory.now() > 49 * 37);
}

// Every callback sends to the channel after its own: one that has not made this cycle yet, or, from the last to the first,
// one that has. A lone read takes 37 cycles from the first tick that sees it.
TEST(host, "Does a request from within a tick reach channels before and behind in the right cycle?") {
  for (const bool idle : {false, true}) {
    HostedMemory memory = HostedMemory::from_text(kMemory, {{"MemorySystem.DRAM.org.channel=2"}, false, ""});
    std::vector<std::int64_t> at, arrive;
    std::function<void(const HostRead&)> other = [&](const HostRead& read) {
      at.push_back(memory.now());
      arrive.push_back(read.arrive);
      if (at.size() < 3) CHECK(memory.read(at.size() == 1 ? 64 : 128 << 13, 0, other));
    };
    for (int i = 0; i < (idle ? 100 : 0); ++i) memory.tick();
    const std::int64_t start = memory.now();
    CHECK(memory.read(0, 0, other));
    while (at.size() < 3) memory.tick();
    CHECK_EQUAL(at[0] - start, 37);
    CHECK_EQUAL(arrive[1] - start, 36);  // channel 1 sees it in the tick that is under way
    CHECK_EQUAL(at[1] - start, 36 + 37);
    CHECK_EQUAL(arrive[2] - start, 36 + 37);  // channel 0 has made that tick
    memory.finish();
  }
}

TEST(host, "Is what a host may not do refused?") {
  Host host;
  CHECK_THROWS(host.memory.read(-64, 0, nullptr), EngineError, "negative address -64");
  CHECK_THROWS(host.memory.write(0, 1), EngineError, "source 1; -1 to 0 are expected");
  CHECK_THROWS(host.memory.pass(host.memory.next_event() - host.memory.now()), EngineError, "would miss cycle");
  host.memory.finish();
  CHECK_THROWS(host.memory.tick(), EngineError, "after the end");
  CHECK_THROWS(host.memory.write(0, 0), EngineError, "after the end");
  CHECK_THROWS(host.memory.finish(), EngineError, "before");
  CHECK_THROWS(Host(std::vector<std::string>{"Frontend.impl=SimpleO3"}), ConfigError, "-p Frontend.impl=SimpleO3");
  CHECK_THROWS(Host(std::vector<std::string>{"nonsense"}), ConfigError, "KEY=VALUE");
  CHECK_THROWS(Host(std::vector<std::string>{"MemorySystem.DRAM.timing.nRCD=x"}), ConfigError, "-p MemorySystem.DRAM.timing.nRCD=x");
  CHECK_THROWS(Host(std::vector<std::string>{"Frontend.impl=GEM5", "Frontend.cores=0"}), ConfigError, "at least 1");
  Host four(std::vector<std::string>{"Frontend.impl=GEM5", "Frontend.cores=4"});
  CHECK(four.memory.write(0, 3));
}
