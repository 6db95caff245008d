// Do the parts of a near-memory layer take the times that their closed forms say? All in cycles of 25 ps; 1 ns = 40.
//
// OLMoE's expert on one chip: each of 16 processing units holds 64 columns of gate and up and 64 rows of down; a matrix is 4 rows of
// 8 tensor-core blocks in every bank, one nanosecond a block and token. With M tokens (a multiple of 4):
//   link(b)  = b / 51.2 GB/s                        slice of a batch B to one channel: b = B x 128 x 2 bytes
//   ring(b)  = 8 hops x (b / 128 + 2) ns            half of the ring of 16 (U7)
//   matrix   = 32 M ns                              4 rows x 8 blocks x M
//   reduce   = 4 M ns                               64 M partial sums, 16 a cycle
//   silu     = 64 M / 256 x 12 ns, hadamard = 64 M / 256 ns, sum = 128 M / 256 x 2 ns (U10)
// Compute-bound (8 M ns > row cycle) the tensor cores never wait for rows, so the time is the sum of what cannot overlap.
#include "check.h"
#include "support.h"

using namespace moeram;

namespace {

constexpr Cycle kNs = 40;
constexpr Cycle kSwitch = 100 * kNs;  // U11, each way

Cycle link(std::int64_t bytes) { return static_cast<Cycle>(std::ceil(static_cast<double>(bytes) / 51.2 * kNs - 1e-6)); }
Cycle ring(std::int64_t bytes) { return 8 * ((bytes + 127) / 128 + 2) * kNs; }
Cycle matrix(Cycle m) { return 32 * m * kNs; }
Cycle reduce(Cycle m) { return 4 * m * kNs; }
Cycle silu(Cycle m) { return m / 4 * 12 * kNs; }
Cycle hadamard(Cycle m) { return m / 4 * kNs; }
Cycle sum(Cycle m) { return m / 2 * 2 * kNs; }
constexpr Cycle kRowWrite = 8 * kNs;

// One expert from its inputs to the end of the down projection, SiLU beside the up projection.
Cycle expert(Cycle m) { return 3 * matrix(m) + reduce(m) + hadamard(m); }

constexpr std::int32_t kTokens = 16;  // 128 ns a row, tier 1's row cycle is 34.6
const LayerTask kOne{{{0, 0, kTokens}}, kTokens};
const LayerTask kTwo{{{0, 0, kTokens}, {1, 12, kTokens}}, kTokens};

NearMemoryConfig without(bool NmpUnitOptions::*overlap) {
  NearMemoryConfig config = olmoe_on_stratum_s();
  config.unit.*overlap = false;
  return config;
}

Cycle duration(const NearMemoryConfig& config, const LayerTask& task) { return run_layer(config, task).duration; }

}  // namespace

TEST(near_memory, "Is a compute-bound layer the sum of its parts?") {
  const std::int64_t slice = kTokens * 128 * 2;
  const Cycle ends = 2 * kSwitch + 2 * link(slice) + ring(slice) + ring(slice) + sum(kTokens) + kRowWrite;
  CHECK_EQUAL(ends + expert(kTokens), 2532 * kNs);  // 100+80+272 + 1024+64+4+512 + 272+16+8 + 100+80
  CHECK_EQUAL(duration(olmoe_on_stratum_s(), kOne), ends + expert(kTokens));
  CHECK_EQUAL(duration(olmoe_on_stratum_s(), kTwo), ends + 2 * expert(kTokens));
}

TEST(near_memory, "Do the busy times of the parts equal their closed forms?") {
  const auto result = run_layer(olmoe_on_stratum_s(), kTwo);
  const std::int64_t slice = kTokens * 128 * 2;
  CHECK_EQUAL(result.link_in, link(slice));
  CHECK_EQUAL(result.all_gather, ring(slice));
  CHECK_EQUAL(result.tensor, 6 * matrix(kTokens));
  CHECK_EQUAL(result.reducer, 4 * reduce(kTokens));
  CHECK_EQUAL(result.special_functions, 2 * (silu(kTokens) + hadamard(kTokens)));
  CHECK_EQUAL(result.reduce_scatter, 2 * ring(slice));
  CHECK_EQUAL(result.weighted_sum, 2 * sum(kTokens));
  CHECK_EQUAL(result.link_out, link(slice));
}

// Off: the host sends the whole batch to every channel. 65536 B / 51.2 = 1280 ns instead of 80 + 272.
TEST(near_memory, "Does switching the all-gather off cost the longer transfer?") {
  const Cycle wanted = link(kTokens * 2048 * 2) - link(kTokens * 256) - ring(kTokens * 256);
  CHECK_EQUAL(wanted, 928 * kNs);
  for (const auto& task : {kOne, kTwo}) {
    CHECK_EQUAL(duration(without(&NmpUnitOptions::overlap_all_gather), task) - duration(olmoe_on_stratum_s(), task), wanted);
  }
}

// Off: SiLU(Z1) after the up projection instead of beside it, once an expert. 16 x 64 / 256 x 12 = 48 ns.
TEST(near_memory, "Does switching the SiLU overlap off cost one SiLU an expert?") {
  const NearMemoryConfig off = without(&NmpUnitOptions::overlap_silu);
  CHECK_EQUAL(silu(kTokens), 48 * kNs);
  CHECK_EQUAL(duration(off, kOne) - duration(olmoe_on_stratum_s(), kOne), silu(kTokens));
  CHECK_EQUAL(duration(off, kTwo) - duration(olmoe_on_stratum_s(), kTwo), 2 * silu(kTokens));
}

// 200 cycles a vector: 4 vectors take 800 ns from the gate's sums at (32 + 4) M = 576 ns; the up projection's are there at 1088 ns.
TEST(near_memory, "Does a SiLU longer than the up projection hold the Hadamard product back?") {
  NearMemoryConfig config = olmoe_on_stratum_s();
  const Cycle base = duration(config, kOne);
  config.unit.silu_cycles_per_vector = 200;
  CHECK_EQUAL(duration(config, kOne) - base, (576 + 800 - 1088) * kNs);
}

// One byte a cycle: 8 x (4096 + 2) = 32784 ns, far longer than an expert: the second expert's results wait for the ring.
TEST(near_memory, "Do two experts' reduce-scatters go over the ring one after the other?") {
  NearMemoryConfig config = olmoe_on_stratum_s();
  config.unit.ring_bytes_per_cycle = 1;
  CHECK_EQUAL(duration(config, kTwo) - duration(config, kOne), Cycle{32784} * kNs);
}

// Two latches: row r streams when row r - 2 is used up, which is 128 ns a row after the inputs are there.
TEST(near_memory, "Does a row stream only once its latch is free?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  const Spec spec = resolve_device(config);
  const auto layout = layout_expert(config.shape);
  NmpLayer layer({spec, config.shape, config.unit, {config.result_row, true, 1}, layout});
  const auto recorder = std::make_shared<Recorder>();
  layer.add_listener(0, recorder);
  layer.run(kOne);
  const Cycle input = kSwitch + link(kTokens * 256) + ring(kTokens * 256);
  Cycle row = 0;
  for (const auto& entry : recorder->entries) {
    if (entry.command != spec.command("ROWRDab")) continue;
    if (row >= 2 && row < 10) CHECK_EQUAL(entry.cycle, input + (row - 1) * 128 * kNs);
    ++row;
  }
  CHECK_EQUAL(row, 12);
}

// Off: the next expert waits for the reduce-scatter of this one, 8 x (4096 / 128 + 2) = 272 ns; the last has no next.
TEST(near_memory, "Does switching the reduce-scatter overlap off cost one ring pass between experts?") {
  const NearMemoryConfig off = without(&NmpUnitOptions::overlap_reduce_scatter);
  CHECK_EQUAL(duration(off, kOne), duration(olmoe_on_stratum_s(), kOne));
  CHECK_EQUAL(duration(off, kTwo) - duration(olmoe_on_stratum_s(), kTwo), ring(kTokens * 256));
}

// Off: all weighted sums after the last expert, 16 ns each; with one expert there is nothing to do earlier.
TEST(near_memory, "Does switching the weighted-sum overlap off leave the earlier sums to the end?") {
  const NearMemoryConfig off = without(&NmpUnitOptions::overlap_weighted_sum);
  CHECK_EQUAL(duration(off, kOne), duration(olmoe_on_stratum_s(), kOne));
  CHECK_EQUAL(duration(off, kTwo) - duration(olmoe_on_stratum_s(), kTwo), sum(kTokens));
}

// Memory-bound (one token): row r streams at 1 + nRCD + r nRC after the mode switch; after the twelfth the bank closes, opens the
// result row of the slowest tier (its data are ready before) and takes it: nRAS - nRCD + nRP + nRCD(8) + nROW.
TEST(near_memory, "Is a memory-bound layer its row cycles in every tier?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  const Spec spec = resolve_device(config);
  const Cycle nrp = spec.timing.at("nRP");
  const Cycle last_rcd = spec.classes.back().timing.at("nRCD");
  for (int tier = 0; tier < 8; ++tier) {
    const auto& timing = spec.classes[static_cast<std::size_t>(tier)].timing;
    const Cycle rows = 1 + 11 * timing.at("nRC") + timing.at("nRAS");
    const Cycle wanted = 2 * kSwitch + rows + nrp + last_rcd + kRowWrite + link(256);
    const auto result = run_layer(config, {{{0, 4096 * tier, 1}}, 1});
    CHECK_EQUAL(result.duration, wanted);
    CHECK(result.class_time[static_cast<std::size_t>(tier)] >= 11 * timing.at("nRC"));
  }
}

// A row that spans two tiers' boundary keeps its own class: 6 rows of tier 1, then 6 of tier 2.
TEST(near_memory, "Does each row of an expert across a boundary take its own tier's time?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  const Spec spec = resolve_device(config);
  const auto result = run_layer(config, {{{0, 4090, 1}}, 1});
  CHECK_EQUAL(result.rows_read[0], 16 * 6);
  CHECK_EQUAL(result.rows_read[1], 16 * 6);
  CHECK_EQUAL(result.class_time[0], 6 * spec.classes[0].timing.at("nRC"));
}
