// Oddities of Ramulator 2.0's cores and cache that equal results need, by the numbers of docs/compatibility.md.
#include "check.h"
#include "moeram/frontend/core.h"
#include "moeram/frontend/last_level_cache.h"
#include "support.h"

using namespace moeram;

namespace {

// A memory that takes everything and remembers it; answers are given by hand.
struct Sponge : RequestTarget {
  bool send(int kind, std::int64_t byte_address, int, std::uint64_t) override {
    if (refuse) return false;
    sent.emplace_back(kind, byte_address);
    return true;
  }
  bool send(int, const Address&) override { return false; }
  void refuse_again(int, std::int64_t, std::int64_t) override {}
  void refuse_again(int, const Address&, std::int64_t) override {}
  std::uint64_t version() const override { return 0; }
  bool refuse = false;
  std::vector<std::pair<int, std::int64_t>> sent;
};

struct CacheBench {
  CacheBench(std::int64_t bytes, std::int64_t ways, std::int64_t mshrs)
      : cache({5, 64, ways, bytes, mshrs}, [this](const LastLevelCache::Access& access, Cycle, Cycle) { delivered.emplace_back(access.address, access.core); }) {}
  void answer(std::int64_t byte_address) {
    Request request;
    request.byte_address = byte_address;
    request.arrive = 1;
    request.depart = 2;
    cache.on_read_done(request);
  }
  void ticks(int count) {
    for (int i = 0; i < count; ++i) cache.tick(memory);
  }
  Sponge memory;
  std::vector<std::pair<std::int64_t, int>> delivered;
  LastLevelCache cache;
};

constexpr std::int64_t kA = 0, kB = 4096;

}  // namespace

TEST(quirks, "Q25: does a hit overwrite who waits for the same byte, and release a newer MSHR of the line?") {
  CacheBench bench(64, 1, 4);
  bench.cache.access({kA, false, 0});
  bench.ticks(6);
  bench.answer(kA);
  bench.cache.access({kA, false, 0});  // a hit, delivered in 5 ticks
  bench.cache.access({kB, false, 1});  // takes the only line
  bench.answer(kB);
  bench.cache.access({kA, false, 1});  // a miss: core 1 waits for memory
  CHECK_EQUAL(bench.delivered.size(), 2u);
  bench.ticks(5);
  CHECK_EQUAL(bench.delivered.size(), 3u);
  CHECK_EQUAL(bench.delivered[2].second, 0);
  const auto misses = bench.cache.statistics().read_misses;
  bench.cache.access({kA, false, 2});  // the line counts as there although memory has not answered
  CHECK_EQUAL(bench.cache.statistics().read_misses, misses);
  bench.answer(kA);
  CHECK_EQUAL(bench.delivered.size(), 3u);  // core 1 is never told
}

TEST(quirks, "Q26: do retries count as accesses and misses, and accesses to an MSHR as misses?") {
  CacheBench bench(64 * 8, 8, 1);
  CHECK(bench.cache.access({kA, false, 0}));
  CHECK(bench.cache.access({kA + 8, false, 1}));
  CHECK(!bench.cache.access({kB, false, 1}));
  CHECK(!bench.cache.access({kB, false, 1}));
  CHECK_EQUAL(bench.cache.statistics().read_access, 4);
  CHECK_EQUAL(bench.cache.statistics().read_misses, 4);
  CHECK_EQUAL(bench.cache.statistics().mshr_unavailable, 2);
}

// 4 GB in one way: addresses 2 GB apart keep lines of their own.
TEST(quirks, "Q49: does a cache beyond 2 GB keep its lines apart?") {
  CacheBench bench(std::int64_t{4} << 30, 1 << 16, 8);
  const std::int64_t far = std::int64_t{2} << 30;
  for (const std::int64_t address : {kA, far}) {
    bench.cache.access({address, false, 0});
    bench.ticks(6);
    bench.answer(address);
  }
  bench.cache.access({kA, false, 0});
  bench.cache.access({far, false, 0});
  CHECK_EQUAL(bench.cache.statistics().read_misses, 2);
  CHECK_EQUAL(bench.cache.statistics().evictions, 0);
}

// Three sets: the mask is 2, the tag begins at bit 7: lines 0 and 64 have one set and one tag.
TEST(quirks, "Q28: do lines alias where the number of sets is no power of two?") {
  CacheBench bench(3 * 64, 1, 4);
  bench.cache.access({0, false, 0});
  bench.ticks(6);
  bench.answer(0);
  bench.cache.access({64, false, 0});
  CHECK_EQUAL(bench.cache.statistics().read_misses, 1);
  bench.cache.access({128, false, 0});
  CHECK_EQUAL(bench.cache.statistics().read_misses, 2);
}

TEST(quirks, "Q54: are refused misses offered again by age, later ones all the same?") {
  CacheBench bench(64 * 64, 8, 8);
  bench.memory.refuse = true;
  for (const std::int64_t address : {kB, kA, 2 * kB}) bench.cache.access({address, false, 0});
  bench.ticks(9);
  CHECK(bench.memory.sent.empty());
  bench.memory.refuse = false;
  bench.ticks(1);
  CHECK_EQUAL(bench.memory.sent.size(), 3u);
  CHECK_EQUAL(bench.memory.sent[0].second, kB);
  CHECK_EQUAL(bench.memory.sent[2].second, 2 * kB);
}

TEST(quirks, "Q54: does a core of low index get the MSHR that comes free?") {
  CacheBench bench(64 * 64, 8, 1);
  NoTranslation translation;
  CoreOptions options;
  options.expected_instructions = 1000;
  std::vector<CoreTraceEntry> misses;
  for (int i = 0; i < 100; ++i) misses.push_back({0, 1000000 + i * kB, -1});
  Core first(0, options, translation, misses);
  Core second(1, options, translation, {{0, kB, -1}});
  for (int tick = 0; tick < 200; ++tick) {
    bench.cache.tick(bench.memory);
    if (tick % 20 == 19 && !bench.memory.sent.empty()) bench.answer(bench.memory.sent.back().second);
    first.tick(bench.cache);
    second.tick(bench.cache);
  }
  CHECK(bench.memory.sent.size() >= 2);
  for (const auto& [kind, address] : bench.memory.sent) CHECK(address != kB);
}

TEST(quirks, "Q56: does one completion wake every load of that byte in the window?") {
  CacheBench bench(64 * 64, 8, 8);
  NoTranslation translation;
  CoreOptions options;
  options.expected_instructions = 2;
  Core core(0, options, translation, {{0, kA, -1}, {0, kA, -1}, {100000, kB, -1}});
  for (int tick = 0; tick < 3; ++tick) core.tick(bench.cache);
  core.deliver(kA, 1, 2);
  core.tick(bench.cache);
  CHECK(core.finished());
}
