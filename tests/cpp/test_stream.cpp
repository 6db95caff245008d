// Streams against the naive way: every address through the mapper, every request offered in every cycle, every cycle ticked.
#include <random>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/mapping/address_mapper.h"
#include "moeram/system/stream_run.h"
#include "support.h"

using namespace moeram;

namespace {

StreamConfig config_of(const std::string& standard, const std::string& organization, const std::string& timing) {
  StreamConfig config;
  config.standard = standard;
  config.device.organization_preset = organization;
  config.device.timing_preset = timing;
  return config;
}

// The address of a byte where neighbours alternate between nodes down to a level, digit by digit.
Address interleaved_address(const Spec& spec, int level, std::int64_t byte) {
  std::int64_t rest = byte / spec.transaction_bytes();
  Address address{};
  const auto take = [&](int l, int count) {
    address[static_cast<std::size_t>(l)] = static_cast<std::int32_t>(rest % count);
    rest /= count;
  };
  for (int l = 0; l <= level; ++l) take(l, spec.counts[static_cast<std::size_t>(l)]);
  take(spec.column_level, spec.counts[static_cast<std::size_t>(spec.column_level)] / spec.prefetch);
  for (int l = level + 1; l <= spec.row_level; ++l) take(l, spec.counts[static_cast<std::size_t>(l)]);
  return address;
}

// Requests of each channel in the order in which it is offered them; streams of a group take turns in each channel.
std::vector<std::vector<Request>> expand(const Spec& spec, const std::string& mapper_name, const std::vector<Stream>& streams, int interleaved = 0) {
  const auto mapper = make_address_mapper(mapper_name, spec);
  std::vector<std::vector<Request>> out(static_cast<std::size_t>(spec.counts[0]));
  for (std::size_t channel = 0; channel < out.size(); ++channel) {
    for (std::size_t begin = 0, end = 0; begin < streams.size(); begin = end) {
      std::vector<std::vector<Request>> lanes;
      for (; end < streams.size() && streams[end].group == streams[begin].group; ++end) {
        lanes.emplace_back();
        for (std::int64_t at = 0; at < streams[end].extent_bytes; at += streams[end].stride_bytes) {
          Request request;
          request.kind = streams[end].kind;
          const std::int64_t byte = streams[end].base + at;
          request.address = interleaved > 0 ? interleaved_address(spec, interleaved, byte) : mapper->map(byte);
          if (request.address[0] == static_cast<int>(channel)) lanes.back().push_back(request);
        }
      }
      for (std::size_t i = 0, left = 1; left > 0; ++i) {
        left = 0;
        for (const auto& lane : lanes) {
          if (i < lane.size()) out[channel].push_back(lane[i]);
          left += i + 1 < lane.size();
        }
      }
    }
  }
  return out;
}

StreamChannelResult run_naively(const Spec& spec, const StreamOptions& options, int channel, const std::vector<Request>& requests) {
  Controller controller(spec, channel, options.controller);
  // A refresh phase is time that passed before: let it pass.
  for (Cycle i = 0; i < options.refresh_phase; ++i) controller.tick();
  const auto before = controller.counts();
  const Cycle begin = controller.now();
  Cycle next_offer = begin;
  StreamChannelResult result;
  for (std::size_t next = 0; next < requests.size() || !controller.drained();) {
    if (next < requests.size() && controller.now() >= next_offer && controller.send(requests[next])) {
      next_offer = controller.now() + options.interval;
      ++(requests[next].kind == kRead ? result.reads : result.writes);
      ++next;
    }
    controller.tick();
  }
  result.cycles = controller.now() - begin;
  result.counts = controller.counts();
  for (std::size_t i = 0; i < before.size(); ++i) result.counts[i] -= before[i];
  result.counts[1] -= result.counts[0] * begin;  // latencies counted from cycle 0
  return result;
}

std::vector<Stream> random_streams(const Spec& spec, std::mt19937& random) {
  const std::int64_t transaction = spec.transaction_bytes();
  std::vector<Stream> streams;
  const int groups = 1 + static_cast<int>(random() % 3);
  for (int group = 0; group < groups; ++group) {
    const std::int64_t strides[] = {1, 1, 2, 3, 8, 64, 200};
    const std::int64_t stride = strides[random() % 7] * transaction;
    for (std::uint32_t i = 0; i <= random() % 3; ++i) {
      const std::int64_t own = random() % 4 == 0 ? strides[random() % 7] * transaction : stride;
      streams.push_back({static_cast<std::int64_t>(random() % 100000) * transaction, own * static_cast<std::int64_t>(1 + random() % 3000), own,
                         static_cast<int>(random() % 3 == 0), group});
    }
  }
  return streams;
}

void compare(const StreamConfig& config, std::mt19937& random) {
  const Spec spec = resolve_device(config);
  const auto streams = random_streams(spec, random);
  const auto requests = expand(spec, config.mapper, streams, spec.level(config.interleave));
  const auto result = run_streams(spec, config, streams);
  for (std::size_t channel = 0; channel < requests.size(); ++channel) {
    const int kind = result.kind_of_channel[channel];
    CHECK_EQUAL(kind < 0, requests[channel].empty());
    if (kind < 0) continue;
    const auto& found = result.kinds[static_cast<std::size_t>(kind)];
    const auto expected = run_naively(spec, config.options, static_cast<int>(channel), requests[channel]);
    CHECK_EQUAL(found.cycles, expected.cycles);
    CHECK_EQUAL(found.reads, expected.reads);
    CHECK_EQUAL(found.writes, expected.writes);
    CHECK(found.counts == expected.counts);
  }
}

}  // namespace

TEST(stream, "Do streams give every command, cycle and statistic of the naive way?") {
  std::mt19937 random(11);
  std::vector<StreamConfig> configs = {config_of("DDR4", "DDR4_8Gb_x8", "DDR4_2400R"), config_of("DDR5", "DDR5_16Gb_x8", "DDR5_3200AN"),
                                       config_of("HBM3", "HBM3_8Gb", "HBM3_2Gbps"), config_of("DDR3", "DDR3_8Gb_x8", "DDR3_1600K")};
  configs[0].device.organization = {{"rank", 2}};
  configs[1].device.organization = {{"channel", 2}};
  configs[2].device.organization = {{"channel", 4}};
  for (auto config : configs) {
    for (int i = 0; i < 6; ++i) {
      config.mapper = i % 3 == 2 ? "ChRaBaRoCo" : "RoBaRaCoCh";
      config.interleave = i >= 3 && config.mapper == "RoBaRaCoCh" && config.standard != "DDR3" ? "bankgroup" : "";
      config.options.interval = i == 3 ? 9 : 0;
      config.options.controller.row_policy = i == 4 && config.standard.starts_with("DDR") && config.standard != "DDR3" ? "ClosedRowPolicy" : "OpenRowPolicy";
      config.options.controller.row_policy_cap = 4;
      config.threads = 1 + i % 2;
      config.reuse_identical_channels = i % 2 == 0;
      compare(config, random);
    }
  }
}

TEST(stream, "Do stacks share the addresses one transaction each, and equal channels cost one simulation?") {
  StreamConfig config = config_of("HBM3", "HBM3_8Gb", "HBM3_2Gbps");
  config.device.organization = {{"channel", 16}};
  config.stacks = 10;
  const Spec spec = resolve_device(config);
  const auto even = run_streams(spec, config, {{0, 160 * 4096 * 16, 16, kRead, 0}});
  CHECK_EQUAL(even.kinds.size(), 1u);
  CHECK_EQUAL(even.kind_of_channel.size(), 160u);
  CHECK_EQUAL(even.kinds[0].reads, 4096);
  const auto uneven = run_streams(spec, config, {{3 * 16, (160 * 4096 + 7) * 16, 16, kRead, 0}});
  CHECK_EQUAL(uneven.kinds.size(), 3u);  // before 3: one row on; 3 to 9: one more; the rest
  std::int64_t reads = 0;
  for (const int kind : uneven.kind_of_channel) reads += uneven.kinds[static_cast<std::size_t>(kind)].reads;
  CHECK_EQUAL(reads, 160 * 4096 + 7);
}

TEST(stream, "Are folded tiers, row ends and refreshes those of the naive way?") {
  const Standard standard = find_standard("Mono3D");
  DeviceOptions device;
  device.organization_preset = "Stratum_32GB";
  device.timing_preset = "Interface_6400";
  device.organization = {{"channel", 1}, {"row", 256}, {"density", 128}};
  const Spec spec = resolve_with_tiers(standard, device, {});
  StreamConfig config;
  config.options.controller.refresh = "None";
  for (const char* mapper : {"RoBaRaCoCh", "ChRaBaRoCo"}) {
    config.mapper = mapper;
    const std::vector<Stream> streams = {{4096 * 5, 4096 * 16 * 200, 64, kRead, 0}, {4096 * 800, 4096 * 100, 64, kWrite, 1}};
    const auto found = run_streams(spec, config, streams).kinds.at(0);
    const auto expected = run_naively(spec, config.options, 0, expand(spec, mapper, streams).at(0));
    CHECK_EQUAL(found.cycles, expected.cycles);
    CHECK(found.counts == expected.counts);
    // Bank after bank, rows of other tiers stay open in the banks before, and no state comes back.
    if (config.mapper == "RoBaRaCoCh") CHECK(found.simulated < (found.reads + found.writes) * 3 / 4);
  }
}

TEST(stream, "Does a fold begin where reads are served from waiting writes, whose latency counts from cycle 0?") {
  StreamConfig config = config_of("DDR4", "DDR4_8Gb_x8", "DDR4_2400R");
  config.options.interval = 40;
  config.options.refresh_phase = 5000;
  const Spec spec = resolve_device(config);
  const std::vector<Stream> streams = {{0, 64 * 100000, 64, kWrite, 0}, {0, 64 * 100000, 64, kRead, 0}};
  const auto found = run_streams(spec, config, streams).kinds.at(0);
  const auto expected = run_naively(spec, config.options, 0, expand(spec, config.mapper, streams).at(0));
  CHECK(found.counts[0] > 0);
  CHECK_EQUAL(found.cycles, expected.cycles);
  CHECK(found.counts == expected.counts);
}

TEST(stream, "Is a stream that no device can serve refused?") {
  StreamConfig config = config_of("HBM3", "HBM3_8Gb", "HBM3_2Gbps");
  const Spec spec = resolve_device(config);
  const auto running = [&](const std::vector<Stream>& streams) { return run_streams(spec, config, streams); };
  CHECK_THROWS((running({{8, 1024, 16, kRead, 0}})), ConfigError, "whole transactions of 16 bytes");
  CHECK_THROWS((running({{0, 1024, 24, kRead, 0}})), ConfigError, "whole transactions of 16 bytes");
  CHECK_THROWS((running({{-16, 1024, 16, kRead, 0}})), ConfigError, "allowed: base from 0");
  CHECK_THROWS((running({})), ConfigError, "at least one stream");
  CHECK_THROWS((running({{0, std::int64_t{1} << 40, 16, kRead, 0}})), CapacityError, "do not fit");
  config.mapper = "RoBaRaCoChh";
  CHECK_THROWS((running({{0, 1024, 16, kRead, 0}})), ConfigError, "RoBaRaCoCh");
}
