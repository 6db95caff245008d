// Is a near-memory layer the same however it is simulated, complete, and refused when it cannot fit?
#include <algorithm>
#include <random>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/pim/nmp_layer.h"
#include "support.h"

using namespace moeram;

namespace {

LayerTask random_task(unsigned seed, int experts, int batch) {
  std::mt19937 random(seed);
  LayerTask task;
  task.batch = batch;
  for (int e = 0; e < experts; ++e) {
    task.experts.push_back({e, static_cast<std::int32_t>(random() % 2700) * 12, 1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(batch))});
  }
  return task;
}

std::vector<LayerTask> random_tasks() {
  std::vector<LayerTask> tasks;
  for (unsigned seed = 0; seed < 6; ++seed) tasks.push_back(random_task(seed, 1 + static_cast<int>(seed) % 4, 1 + 7 * static_cast<int>(seed)));
  return tasks;
}

std::vector<std::string> texts(const NearMemoryConfig& config, const NearMemoryRunOptions& options) {
  std::vector<std::string> out;
  for (const auto& result : run_layers(resolve_device(config), config, random_tasks(), options)) out.push_back(text_of(result));
  return out;
}

std::vector<NearMemoryConfig> configs() {
  std::vector<NearMemoryConfig> list(4, olmoe_on_stratum_s());
  list[1].unit.overlap_all_gather = list[1].unit.overlap_silu = list[1].unit.overlap_reduce_scatter = list[1].unit.overlap_weighted_sum = false;
  list[2].unit.row_latches = 1;
  list[2].tiers.slowest_everywhere = true;
  list[3].unit.row_latches = 5;
  list[3].shape.hidden_size = 1000;  // rows that two matrices share
  list[3].shape.intermediate_size = 900;
  return list;
}

// The rows that a channel's commands of one kind name, in order.
std::vector<int> rows_of(const Spec& spec, const Recorder& recorder, const char* command) {
  std::vector<int> rows;
  for (const auto& entry : recorder.entries) {
    if (entry.command == spec.command(command)) rows.push_back(entry.address[static_cast<std::size_t>(spec.row_level)]);
  }
  return rows;
}

}  // namespace

TEST(near_memory, "Are two runs, two threads, no skipping and all channels simulated the same?") {
  for (const auto& config : configs()) {
    const auto base = texts(config, {});
    CHECK(base == texts(config, {}));
    CHECK(base == texts(config, {2, true, true, nullptr, ""}));
    CHECK(base == texts(config, {1, false, true, nullptr, ""}));
    CHECK(base == texts(config, {2, true, false, nullptr, ""}));
  }
}

TEST(near_memory, "Are experts that were seen before the same as simulated ones, in all channels or one, with much room or little?") {
  for (const auto& config : configs()) {
    const auto base = texts(config, {});
    for (const std::size_t room : {std::size_t{1} << 26, std::size_t{20000}, std::size_t{0}}) {
      for (const bool identical : {true, false}) {
        ExpertMemo memo(room);
        for (int run = 0; run < 3; ++run) CHECK(base == texts(config, {1 + run % 2, true, identical, &memo, ""}));
      }
    }
  }
}

TEST(near_memory, "Is an expert known that ran before from the same state, and only then?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  const Spec spec = resolve_device(config);
  ExpertMemo memo;
  const auto simulated = [&](const LayerTask& task) {
    EngineWork work;
    run_layers(spec, config, {task}, {1, true, true, &memo, ""}, nullptr, &work);
    CHECK(work.experts == static_cast<std::int64_t>(task.experts.size()));
    return work.experts_simulated;
  };
  LayerTask task;
  task.batch = 8;
  for (int e = 0; e < 10; ++e) task.experts.push_back({e, 12 * e, 1});
  const auto first = simulated(task);
  CHECK(first >= 1 && first <= 5);  // the first, some until nothing changes any more, and the last, behind which nothing is fetched
  CHECK(simulated(task) == 0);
  for (auto& expert : task.experts) expert.first_row += 1200;  // other rows of the same tier
  CHECK(simulated(task) == 0);
  task.experts[5].tokens = 2;
  CHECK(simulated(task) >= 1);
  task.experts[4].first_row = 28680;  // another tier
  CHECK(simulated(task) >= 1);
  task.experts[3].first_row = task.experts[6].first_row;  // the same rows twice
  CHECK(simulated(task) == 10);
}

TEST(near_memory, "Does every row of every expert stand once in every channel's commands, in order?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  const Spec spec = resolve_device(config);
  const auto layout = layout_expert(config.shape);
  LayerTask task{{{4, 120, 3}, {9, 28680, 1}, {2, 0, 7}}, 8};
  NmpLayer layer({spec, config.shape, config.unit, {config.result_row, true, 0}, layout});
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int channel = 0; channel < 16; ++channel) {
    recorders.push_back(std::make_shared<Recorder>());
    layer.add_listener(channel, recorders.back());
  }
  const NmpLayerResult result = layer.run(task);
  std::vector<int> wanted;
  for (const auto& expert : task.experts) {
    for (int row = 0; row < 12; ++row) wanted.push_back(expert.first_row + row);
  }
  for (int channel = 0; channel < 16; ++channel) {
    CHECK(rows_of(spec, *recorders[static_cast<std::size_t>(channel)], "ROWRDab") == wanted);
    CHECK(rows_of(spec, *recorders[static_cast<std::size_t>(channel)], "ROWWRab") == std::vector<int>{config.result_row});
    CHECK_EQUAL(result.rows_read[static_cast<std::size_t>(channel * 8)], 16 * 24);  // rows of all sixteen banks
    CHECK_EQUAL(result.rows_read[static_cast<std::size_t>(channel * 8 + 7)], 16 * 12);
    CHECK_EQUAL(result.rows_written[static_cast<std::size_t>(channel * 8 + 7)], 16);
  }
  CHECK_EQUAL(result.commands[static_cast<std::size_t>(spec.command("ROWRDab"))], 16 * 36);
  CHECK_EQUAL(result.commands[static_cast<std::size_t>(spec.command("ACTab"))], 16 * 37);
  // weight bytes x tokens: 12 MiB x (3 + 1 + 7)
  CHECK_EQUAL(result.mac_bytes_over_all_banks, std::int64_t{12} * 1024 * 1024 * 11);
}

// The rows of a batch's results: batch x hidden / 16 x 2 bytes in rows of 16 x 4 KB.
TEST(near_memory, "Are results written in as many rows as they need?") {
  NearMemoryConfig config = olmoe_on_stratum_s();
  config.result_row = 32000;
  config.unit.shared_memory_bytes = 1 << 30;
  for (const auto& [batch, rows] : std::vector<std::pair<int, int>>{{1, 1}, {256, 1}, {257, 2}, {600, 3}}) {
    const auto result = run_layer(config, {{{0, 0, 1}}, batch});
    std::int64_t written = 0;
    for (std::size_t tier = 0; tier < 8; ++tier) written += result.rows_written[tier];
    CHECK_EQUAL(written, 16 * rows);  // in each of sixteen banks
  }
}

// 64 KB of partial sums double-buffered: 32 KB / (16 outputs x 4 bytes) = 512 tokens of one expert.
TEST(near_memory, "Does a batch that overflows the partial sums fail with the numbers?") {
  NearMemoryConfig config = olmoe_on_stratum_s();
  config.result_row = 32000;
  config.unit.shared_memory_bytes = 1 << 30;
  CHECK(run_layer(config, {{{0, 0, 512}}, 512}).duration > 0);
  CHECK_THROWS(run_layer(config, {{{0, 0, 513}}, 513}), CapacityError, "513 tokens of one expert need 32832 bytes");
}

// Bytes a token: batch 2048 x 2; Z1, Z2, X2 3 x 64 x 2; two outputs 2 x 2048 x 2; accumulators 128 x 4: 13184 with all tokens
// in one expert, 9088 with one output; 1.25 MiB hold 99 or 144.
TEST(near_memory, "Does a batch that overflows the shared memory fail at the right token?") {
  NearMemoryConfig config = olmoe_on_stratum_s();
  CHECK(run_layer(config, {{{0, 0, 99}}, 99}).duration > 0);
  CHECK_THROWS(run_layer(config, {{{0, 0, 100}}, 100}), CapacityError, "needs 1318400 bytes of a processing unit's shared memory; it has 1310720");
  config.unit.overlap_reduce_scatter = false;
  CHECK(run_layer(config, {{{0, 0, 144}}, 144}).duration > 0);
  CHECK_THROWS(run_layer(config, {{{0, 0, 145}}, 145}), CapacityError, "a batch of 145 tokens");
}

TEST(near_memory, "Are rows outside a bank, zero tokens and empty layers refused?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  CHECK_THROWS(run_layer(config, {{{3, 32757, 1}}, 1}), CapacityError, "expert 3 at rows 32757 to 32768 does not fit a bank of 32768 rows");
  CHECK_THROWS(run_layer(config, {{{3, -1, 1}}, 1}), CapacityError, "expert 3 at rows -1");
  CHECK_THROWS(run_layer(config, {{{3, 0, 0}}, 1}), ConfigError, "expert 3 runs with 0 tokens");
  CHECK_THROWS(run_layer(config, {{}, 1}), EngineError, "without any active expert");
}

TEST(near_memory, "Is a batch of no tokens refused?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  CHECK_THROWS(run_layer(config, {{{3, 0, 1}}, 0}), Error, "batch");
  CHECK_THROWS(run_layer(config, {{{3, 0, 2}}, 1}), Error, "batch");  // more tokens than the batch has
}

TEST(near_memory, "Is the first failing layer reported whatever the threads?") {
  const NearMemoryConfig config = olmoe_on_stratum_s();
  std::vector<LayerTask> tasks(8, LayerTask{{{0, 0, 1}}, 1});
  tasks[3] = {{{0, 0, 100}}, 100};
  tasks[6] = {{}, 1};
  for (const int threads : {1, 2}) {
    CHECK_THROWS(run_layers(resolve_device(config), config, tasks, {threads, true, true, nullptr, ""}), CapacityError, "a batch of 100 tokens");
  }
}

TEST(near_memory, "Is a shape refused that the device does not have?") {
  NearMemoryConfig config = olmoe_on_stratum_s();
  config.shape.banks_per_channel = 8;
  CHECK_THROWS(resolve_device(config), ConfigError, "Mono3D has 16 of 16");
  config = olmoe_on_stratum_s();
  config.shape.row_bytes = 2048;
  CHECK_THROWS(resolve_device(config), ConfigError, "Mono3D has 4096");
  config = olmoe_on_stratum_s();
  config.unit.row_latches = 0;
  CHECK_THROWS(resolve_device(config), ConfigError, "at least one row latch");
  config = olmoe_on_stratum_s();
  config.unit.clock_ps = 1010;
  CHECK_THROWS(run_layer(config, {{{0, 0, 1}}, 1}), ConfigError, "no whole multiple");
  config = olmoe_on_stratum_s();
  config.standard = "DDR4";
  config.organization_preset = "DDR4_8Gb_x8";
  config.timing_preset = "DDR4_2400R";
  CHECK_THROWS(resolve_device(config), Error, "");
}

// One row of the standard one cycle longer, in a temporary copy of its file.
TEST(near_memory, "Does every timing row that a row cycle uses change the time?") {
  const std::string text = read_file(MOERAM_STANDARDS "/Mono3D@1.yaml");
  const LayerTask task{{{0, 0, 1}, {1, 28672, 1}}, 1};
  const Cycle base = run_layer(olmoe_on_stratum_s(), task).duration;
  const std::vector<std::pair<const char*, const char*>> mutations = {
      {"[channel, [PREA, PREab], [ACT, ACTab], nRP]", "[channel, [PREA, PREab], [ACT, ACTab], nRP + 1]"},
      {"[channel, [ACTab], [PRE, PREA, PREab], nRAS]", "[channel, [ACTab], [PRE, PREA, PREab], nRAS + 1]"},
      {"[channel, [ACTab], [ACT, ACTab], nRC]", "[channel, [ACTab], [ACT, ACTab], nRC + 1]"},
      {"[channel, [ACTab], [RD, WR, ROWRDab, ROWWRab], nRCD]", "[channel, [ACTab], [RD, WR, ROWRDab, ROWWRab], nRCD + 1]"}};
  for (const auto& [from, to] : mutations) {
    NearMemoryConfig config = olmoe_on_stratum_s();
    const TemporaryFile unchanged("mono3d.yaml", text);
    config.standard = unchanged.path();
    CHECK_EQUAL(run_layer(config, task).duration, base);
    const TemporaryFile changed("mono3d-mutant.yaml", replace_once(text, from, to));
    config.standard = changed.path();
    CHECK(run_layer(config, task).duration > base);
  }
}

// The stream of a row binds the row cycle only when it is long: nROW + nRP beyond nRC - nRCD.
TEST(near_memory, "Does a longer row stream lengthen a compute-free row cycle?") {
  const std::string text = read_file(MOERAM_STANDARDS "/Mono3D@1.yaml");
  const TemporaryFile changed("mono3d-slow-stream.yaml", replace_once(text, "{name: nROW, formula: up(8.0)}", "{name: nROW, formula: up(40.0)}"));
  NearMemoryConfig config = olmoe_on_stratum_s();
  const LayerTask task{{{0, 0, 1}}, 1};
  const Cycle base = run_layer(config, task).duration;
  config.standard = changed.path();
  // every row: nRCD + 40 ns + nRP instead of nRC = nRCD + 27.5 ns + nRP, eleven times; then both ends of the last row
  CHECK(run_layer(config, task).duration - base >= 11 * (1600 - 1100));
}
