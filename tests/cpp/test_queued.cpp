// Commands to banks in lock step, and the controller whose queues are data.
#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/controller/queued_controller.h"
#include "support.h"

using namespace moeram;

namespace {

struct AttAcc {
  explicit AttAcc(const std::string& faults = "", const std::string& refresh = "None") {
    FaultChoice choice;
    if (!faults.empty()) choice.all = faults == "all";
    const Standard standard = find_standard("HBM3@attacc", "2.0", choice);
    DeviceOptions options;
    options.organization_preset = "HBM3_8Gb_2R";
    options.timing_preset = "HBM3_5.2Gbps";
    spec = resolve(standard, options);
    rules = read_queue_rules(standard.sections.at("controller"), spec);
    controller = std::make_unique<QueuedController>(spec, rules, 0, refresh);
    controller->add_listener(recorder);
  }
  // [channel, pseudochannel, rank, bankgroup, bank, row, column]
  bool send(const std::string& kind, const std::vector<int>& entries) { return controller->send(request_of(spec.request(kind), -1, entries)); }
  Spec spec;
  QueueRules rules;
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  std::unique_ptr<QueuedController> controller;
};

}  // namespace

TEST(queued, "a row of all banks costs activation, columns and precharge") {
  AttAcc memory;
  for (int row = 0; row < 2; ++row) {
    for (int column = 0; column < 2; ++column) CHECK(memory.send("mac-all-bank", {0, 0, 0, 0, 0, row, column}));
  }
  memory.controller->run_until_drained();
  // nRCDRD 19, nCCDAB 6, nRP 19; two columns end before nRAS 45 has passed
  CHECK_EQUAL(text_of(memory.spec, memory.recorder->entries),
              std::string("1 ACTAB, 20 MACAB, 26 MACAB, 46 PREA, 65 ACTAB, 84 MACAB, 90 MACAB"));
}

TEST(queued, "33 requests of capacity 32 enter, and the next when one has gone") {
  AttAcc memory;
  for (int i = 0; i < 33; ++i) CHECK(memory.send("mac-all-bank", {0, 0, 0, 0, 0, 0, i}));
  CHECK(!memory.send("mac-all-bank", {0, 0, 0, 0, 0, 0, 0}));
  CHECK_EQUAL(memory.controller->run_until_accepts(memory.spec.request("mac-all-bank")), Cycle{20});
}

TEST(queued, "a column command does not pass a fence, a row command does") {
  AttAcc memory;
  memory.send("mac-all-bank", {0, 0, 0, 0, 0, 0, 0});
  memory.send("barrier", {0, 0, 0, 0, 0, 0, 0});
  memory.send("write-to-gemv-buffer", {0, 0, 0, 0, 0, 0, 0});
  memory.controller->run_until_drained();
  CHECK_EQUAL(text_of(memory.spec, memory.recorder->entries), std::string("1 ACTAB, 20 MACAB, 21 WRGB"));
}

TEST(queued, "a run sent at once is the run sent one by one") {
  const Standard standard = find_standard("GDDR6@aim");
  DeviceOptions options;
  options.organization_preset = "GDDR6_AiM_org";
  options.timing_preset = "GDDR6_AiM_timing";
  const Spec spec = resolve(standard, options);
  const QueueRules rules = read_queue_rules(standard.sections.at("controller"), spec);
  QueuedController at_once(spec, rules, 0, "None"), singly(spec, rules, 0, "None");
  Request request = request_of(spec.request("mac-all-bank"), -1, {0, -1, -1, 0, 0});
  for (int row = 0; row < 5; ++row) {
    request.address[3] = row;
    request.address[4] = 0;
    const Cycle taken = at_once.send_run(request, 64);
    for (int column = 0; column < 64; ++column, ++request.address[4]) {
      while (!singly.send(request)) singly.run_until_accepts(request.kind);
    }
    CHECK_EQUAL(taken, singly.now());
    CHECK(at_once.statistics().issued == singly.statistics().issued);
    CHECK(at_once.statistics().cycles == singly.statistics().cycles);
    CHECK_EQUAL(at_once.statistics().row_open, singly.statistics().row_open);
  }
  CHECK_EQUAL(at_once.run_until_drained(), singly.run_until_drained());
  CHECK_EQUAL(at_once.now(), Cycle{4 * 226 + 57 + 126 + 1});  // rows of 226 cycles; the last MAC16 completes a cycle later
}

TEST(queued, "a deadlock of the faulty guard is named, and gone without the fault") {
  for (const char* faults : {"all", "none"}) {
    AttAcc memory(faults);
    memory.send("read", {0, 0, 1, 2, 1, 1001, 4});
    memory.send("write", {0, 0, 0, 1, 1, 1000, 20});
    memory.send("mac-all-bank", {0, 0, 0, 0, 0, 0, 21});
    if (faults == std::string("none")) {
      CHECK(memory.controller->run_until_drained() < 400);
    } else {
      CHECK_THROWS(memory.controller->run_until_drained(), EngineError, "blocked: write (channel 0");
    }
  }
}

TEST(queued, "every fault can be taken out alone") {
  const Standard all = find_standard("HBM3@attacc");
  CHECK(all.faults.size() >= 9);
  for (const auto& fault : all.faults) {
    FaultChoice choice;
    choice.named[fault.name] = false;
    const Standard without = find_standard("HBM3@attacc", "2.0", choice);
    for (const auto& left : without.faults) CHECK_EQUAL(left.present, left.name != fault.name);
  }
  FaultChoice unknown;
  unknown.named["rows_acumulate"] = false;
  CHECK_THROWS(find_standard("HBM3@attacc", "2.0", unknown), ConfigError, "did you mean 'rows_accumulate'");
}

TEST(queued, "a request that enters no queue is refused by its name") {
  AttAcc memory;
  CHECK_THROWS(memory.send("per-bank-refresh", {0, 0, 0, 0, 0, 0, 0}), EngineError, "request 'per-bank-refresh' enters no queue of the controller of HBM3@attacc");
}

TEST(queued, "rows that are open already are not opened again, others and those of another buffer are") {
  const Standard standard = find_standard("HBM3@sieve");
  DeviceOptions options;
  options.organization_preset = "HBM3E_dual";
  options.timing_preset = "HBM3E_8000Mbps";
  const Spec spec = resolve(standard, options);
  const QueueRules rules = read_queue_rules(standard.sections.at("controller"), spec);
  QueuedController controller(spec, rules, 0, "None");
  const auto recorder = std::make_shared<Recorder>();
  controller.add_listener(recorder);
  // [channel, buffer, bankgroup, bank, row, column]
  for (const auto& place : std::vector<std::vector<int>>{{0, 0, 0, 0, 7, 0}, {0, 0, 0, 0, 7, 0}, {0, 1, 0, 0, 7, 0}, {0, 0, 0, 0, 7, 0}, {0, 0, 0, 0, 8, 0}}) {
    CHECK(controller.send(request_of(spec.request("open-banks"), -1, place)));
  }
  controller.run_until_drained();
  // The cells of a bank open rows nRC 96 apart; row 7 closes 5 nFAW + nRAS 68 after its last group and nRP 28 before the next opens.
  CHECK_EQUAL(text_of(spec, recorder->entries), std::string("1 ACTAB, 97 ACTAB, 129 PREAB, 193 ACTAB"));
  CHECK_EQUAL(controller.statistics().completed[static_cast<std::size_t>(spec.request("open-banks"))], std::int64_t{5});
}

TEST(queued, "a blocked request is named with the line that asks for it") {
  AttAcc memory("all");
  int line = 0;
  for (const auto& [kind, place] : std::vector<std::pair<std::string, std::vector<int>>>{
           {"read", {0, 0, 1, 2, 1, 1001, 4}}, {"write", {0, 0, 0, 1, 1, 1000, 20}}, {"mac-all-bank", {0, 0, 0, 0, 0, 0, 21}}}) {
    Request request = request_of(memory.spec.request(kind), -1, place);
    request.line = ++line;
    memory.controller->send(request);
  }
  CHECK_THROWS(memory.controller->run_until_drained(), EngineError, "blocked: write of line 2 (channel 0");
}
