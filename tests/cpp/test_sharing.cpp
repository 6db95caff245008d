// Ordinary and computing requests beside each other on a controller of queues.
#include <map>
#include <memory>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/controller/queued_controller.h"
#include "moeram/frontend/host_traffic.h"
#include "support.h"

using namespace moeram;

namespace {

struct Sieve {
  explicit Sieve(const SharingOptions& options, const std::string& organization = "HBM3E_dual", const std::string& refresh = "None") {
    const Standard standard = find_standard("HBM3@sieve");
    DeviceOptions device;
    device.organization_preset = organization;
    device.timing_preset = "HBM3E_8000Mbps";
    spec = resolve(standard, device);
    rules = read_queue_rules(standard.sections.at("controller"), spec);
    policy = make_sharing_policy(options, QueuedController::sharing_limits(spec, rules));
    controller = std::make_unique<QueuedController>(spec, rules, 0, refresh);
    controller->share_by(policy.get());
    controller->add_listener(recorder);
  }
  // [channel, buffer, bankgroup, bank, row, column]
  bool send(const std::string& kind, const std::vector<int>& entries) { return controller->send(request_of(spec.request(kind), -1, entries)); }
  void feed(const HostStream& wanted) {
    stream = wanted;
    host = std::make_unique<HostStreamFeed>(spec, stream, 0);
    controller->take_from(host.get());
  }
  HostStream over(const std::vector<std::string>& levels, std::int64_t requests) const {
    HostStream out;
    for (const auto& name : levels) out.order.push_back(spec.level(name));
    out.requests = requests;
    return out;
  }
  Spec spec;
  QueueRules rules;
  HostStream stream;
  std::unique_ptr<SharingPolicy> policy;
  std::unique_ptr<RequestFeed> host;
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  std::unique_ptr<QueuedController> controller;
};

// Multiplications of both row buffers and their openings, `rows` rows of `columns`.
void send_program(Sieve& memory, int rows, int columns) {
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      while (!memory.send("mac-all-bank", {0, row % 2, 0, 0, row / 2, column})) memory.controller->step();
    }
  }
}

}  // namespace

TEST(sharing, "the host opens a row of its buffer while the units multiply in the other") {
  Sieve memory({.policy = "UnitsFirst"});
  for (int i = 0; i < 4; ++i) memory.send("mac-all-bank", {0, 1, 0, 0, 0, i});
  memory.send("read", {0, 0, 0, 0, 5, 0});
  memory.send("read", {0, 0, 0, 0, 5, 1});
  memory.controller->run_until_drained();
  // ACTAB at 1, its last group opens 60 later; ACT waits for nRC of the cells and then for the bus, on which the units go first.
  CHECK_EQUAL(text_of(memory.spec, memory.recorder->entries),
              std::string("1 ACTAB, 89 MACAB, 93 MACAB, 97 MACAB, 98 ACT, 101 MACAB, 126 RD, 130 RD"));
}

TEST(sharing, "rows that the first side waits for are not touched by the other") {
  Sieve memory({.policy = "UnitsFirst"}, "HBM3E_single");
  for (int i = 0; i < 3; ++i) memory.send("mac-all-bank", {0, 0, 0, 0, 0, i});
  memory.send("read", {0, 0, 2, 1, 5, 0});
  memory.controller->run_until_drained();
  CHECK_EQUAL(text_of(memory.spec, memory.recorder->entries), std::string("1 ACTAB, 89 MACAB, 93 MACAB, 97 MACAB, 129 PRE, 157 ACT, 185 RD"));
  Sieve other({.policy = "HostFirst"}, "HBM3E_single");
  for (int i = 0; i < 3; ++i) other.send("mac-all-bank", {0, 0, 0, 0, 0, i});
  other.send("read", {0, 0, 2, 1, 5, 0});
  other.controller->run_until_drained();
  CHECK_EQUAL(text_of(other.spec, other.recorder->entries), std::string("1 ACT, 29 RD, 69 PREAB, 97 ACTAB, 185 MACAB, 189 MACAB, 193 MACAB"));
}

TEST(sharing, "a controller that is in the same state again goes on in the same way") {
  for (const char* policy : {"OldestFirst", "TimeSlices"}) {
    SharingOptions options{.policy = policy};
    if (options.policy == "TimeSlices") options.slices = {512, 512};
    Sieve memory(options);
    memory.feed(memory.over({"bankgroup", "column"}, -1));
    std::map<std::vector<std::int64_t>, Cycle> seen;
    std::size_t repeats = 0;
    Cycle begin = 0, period = 0;
    for (int turn = 0; turn < 4000 && repeats < 20; ++turn) {
      while (memory.controller->accepts(memory.spec.request("mac-all-bank"))) {
        Request request = request_of(memory.spec.request("mac-all-bank"), -1, {0, 1, 0, 0, 0, 0});
        memory.controller->send(request);
      }
      memory.controller->run_until(memory.controller->now() + 8);
      const auto [found, fresh] = seen.try_emplace(memory.controller->canonical(), memory.controller->now());
      if (fresh) continue;
      if (period == 0) {
        begin = found->second;
        period = memory.controller->now() - begin;
      }
      ++repeats;
    }
    CHECK(repeats >= 20);
    const auto& entries = memory.recorder->entries;
    std::size_t compared = 0, at = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].cycle <= begin) continue;
      while (at < entries.size() && entries[at].cycle < entries[i].cycle + period) ++at;
      if (at == entries.size()) break;
      CHECK_EQUAL(entries[at].cycle, entries[i].cycle + period);
      CHECK_EQUAL(entries[at].command, entries[i].command);
      ++compared;
    }
    CHECK(compared > 0);
  }
}

TEST(sharing, "canonical does not depend on the hour, and tells what differs") {
  Sieve early({.policy = "OldestFirst"}), late({.policy = "OldestFirst"}), other({.policy = "OldestFirst"});
  late.controller->run_until(12345);
  for (Sieve* memory : {&early, &late, &other}) {
    send_program(*memory, 1, 8);
    memory->send("read", {0, 0, memory == &other ? 1 : 0, 0, 3, 0});
    memory->controller->run_until(memory->controller->now() + 150);
  }
  CHECK(early.controller->canonical() == late.controller->canonical());
  CHECK(early.controller->canonical() != other.controller->canonical());
}

TEST(sharing, "a policy says what is wrong with it") {
  SharingLimits limits;
  limits.service = {300, 400};
  CHECK_THROWS(make_sharing_policy({.policy = "HostFrist"}, limits), ConfigError, "did you mean 'HostFirst'");
  CHECK_THROWS(make_sharing_policy({.policy = "HostFirst", .cap = 299}, limits), ConfigError, "299 cycles are too short; one request may take 300");
  CHECK_THROWS(make_sharing_policy({.policy = "OldestFirst", .cap = 500}, limits), ConfigError, "has no cap");
  CHECK_THROWS(make_sharing_policy({.policy = "TimeSlices"}, limits), ConfigError, "host_slice: 0 cycles are too short");
  CHECK_THROWS(make_sharing_policy({.policy = "UnitsFirst", .slices = {500, 500}}, limits), ConfigError, "has no slices");
}

TEST(sharing, "a controller with its faults is not shared") {
  const Standard standard = find_standard("GDDR6@aim");
  DeviceOptions device;
  device.organization_preset = "GDDR6_AiM_org";
  device.timing_preset = "GDDR6_AiM_timing";
  const Spec spec = resolve(standard, device);
  const QueueRules rules = read_queue_rules(standard.sections.at("controller"), spec);
  QueuedController controller(spec, rules, 0, "None");
  const auto policy = make_sharing_policy({.policy = "HostFirst"}, QueuedController::sharing_limits(spec, rules));
  CHECK_THROWS(controller.share_by(policy.get()), ConfigError, "its faults are on (DRAM.faults: none)");
}
