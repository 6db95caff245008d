// Do two controllers with equal canonical state behave alike from there on, wherever on the clock they are?
#include <random>

#include "check.h"
#include "support.h"

using namespace moeram;

namespace {

ControllerOptions no_refresh() {
  ControllerOptions options;
  options.refresh = "None";
  return options;
}

struct Bench {
  explicit Bench(const Spec& spec) : controller(spec, 0, no_refresh()), recorder(std::make_shared<Recorder>()) { controller.add_listener(recorder); }
  void tick(Cycle cycles) {
    for (Cycle i = 0; i < cycles; ++i) controller.tick();
  }
  // Serve requests, then let all limits run out.
  void work(unsigned seed, int requests, Cycle rest) {
    std::mt19937 random(seed);
    for (int i = 0; i < requests; ++i) {
      const int b = static_cast<int>(random() % 16);
      controller.send(request_of(static_cast<int>(random() % 2), 64 * i, {0, 0, b / 4, b % 4, static_cast<int>(random() % 2), 0}));
      tick(1 + random() % 20);
    }
    while (!controller.drained()) tick(1);
    tick(rest);
  }
  // What follows, relative to now.
  std::vector<Recorder::Entry> future(unsigned seed) {
    const Cycle start = controller.now();
    recorder->entries.clear();
    work(seed, 40, 0);
    for (auto& entry : recorder->entries) entry.cycle -= start;
    return recorder->entries;
  }
  Controller controller;
  std::shared_ptr<Recorder> recorder;
};

Request close_all(const Spec& spec) {
  Request request;
  request.kind = spec.request("all-bank-refresh");
  request.address = address_of({0, 0, -1, -1, -1, -1});
  return request;
}

// Different pasts, both ended by a refresh (which closes all rows) and a rest longer than any limit.
void drain_closed(Bench& bench, const Spec& spec, unsigned seed, int requests) {
  bench.work(seed, requests, 100);
  CHECK(bench.controller.send_first(close_all(spec)));
  bench.tick(2000);
}

}  // namespace

TEST(canonical, "Are two drained, closed controllers equal at different times and with different pasts?") {
  const Spec spec = ddr4();
  Bench a(spec), b(spec);
  drain_closed(a, spec, 1, 50);
  drain_closed(b, spec, 2, 90);
  CHECK(a.controller.now() != b.controller.now());
  CHECK(a.controller.canonical() == b.controller.canonical());
  CHECK(a.future(5) == b.future(5));
  CHECK(a.controller.canonical() == b.controller.canonical());
}

TEST(canonical, "Is a state in the middle of work equal to the same state later on the clock?") {
  const Spec spec = ddr4();
  Bench a(spec), b(spec);
  drain_closed(a, spec, 1, 10);
  drain_closed(b, spec, 3, 70);
  for (Bench* bench : {&a, &b}) {
    for (int i = 0; i < 12; ++i) CHECK(bench->controller.send(request_of(i % 2, 64 * i, {0, 0, i % 4, i / 4, i % 3, 0})));
    bench->tick(30);
    CHECK(!bench->controller.drained());
  }
  CHECK(a.controller.canonical() == b.controller.canonical());
  CHECK(a.future(6) == b.future(6));
}

TEST(canonical, "Does an open row tell two controllers apart?") {
  const Spec spec = ddr4();
  Bench a(spec), b(spec);
  CHECK(a.controller.send(request_of(kRead, 0, {0, 0, 0, 0, 1, 0})));
  CHECK(b.controller.send(request_of(kRead, 0, {0, 0, 0, 0, 2, 0})));
  for (Bench* bench : {&a, &b}) bench->tick(1000);
  CHECK(a.controller.drained() && b.controller.drained());
  CHECK(a.controller.canonical() != b.controller.canonical());
  for (Bench* bench : {&a, &b}) {
    bench->recorder->entries.clear();
    CHECK(bench->controller.send(request_of(kRead, 64, {0, 0, 0, 0, 1, 0})));
    bench->tick(100);
  }
  CHECK_EQUAL(a.recorder->entries.size(), 1u);  // RD
  CHECK_EQUAL(b.recorder->entries.size(), 3u);  // PRE, ACT, RD
}

TEST(canonical, "Does a limit that still runs tell two controllers apart?") {
  const Spec spec = ddr4();
  Bench a(spec), b(spec);
  for (Bench* bench : {&a, &b}) {
    CHECK(bench->controller.send(request_of(kWrite, 0, {0, 0, 0, 0, 1, 0})));
    while (!bench->controller.drained()) bench->tick(1);
  }
  a.tick(5);
  b.tick(6);
  CHECK(a.controller.canonical() != b.controller.canonical());  // write recovery of 34 cycles still runs
  a.tick(500);
  b.tick(777);
  CHECK(a.controller.canonical() == b.controller.canonical());
}

TEST(canonical, "Do the window history, the refresh phase and the write mode belong to the state?") {
  const Spec spec = ddr4();
  Device once(spec), twice(spec);
  const int act = spec.command("ACT");
  for (int i = 0; i < 3; ++i) once.issue(act, address_of({0, 0, i, 0, 0, 0}), 100 + 6 * i);
  for (int i = 1; i < 3; ++i) twice.issue(act, address_of({0, 0, i, 0, 0, 0}), 100 + 6 * i);
  const Frame frame(spec, spec.bank_level);
  std::vector<std::int64_t> first, second;
  once.issue(spec.command("PREA"), address_of({0, 0, -1, -1, -1, -1}), 113);
  twice.issue(spec.command("PREA"), address_of({0, 0, -1, -1, -1, -1}), 113);
  once.canonical(113, frame, first);
  twice.canonical(113, frame, second);
  CHECK(first != second);
  Controller early(spec, 0, {}), late(spec, 0, {});
  for (int i = 0; i < 10; ++i) late.tick();
  CHECK(early.canonical() != late.canonical());  // ten cycles nearer to the refresh
  // An idle tick turns to write mode (R = 0), and with ten writes waiting that decides who goes first.
  Bench fresh(spec), idle(spec);
  idle.tick(1);
  CHECK(fresh.controller.canonical() != idle.controller.canonical());
  for (Bench* bench : {&fresh, &idle}) {
    for (int i = 0; i < 10; ++i) CHECK(bench->controller.send(request_of(kWrite, 64 * i, {0, 0, 0, 0, 0, i})));
    CHECK(bench->controller.send(request_of(kRead, 4096, {0, 0, 3, 3, 7, 0})));
    bench->tick(1);
  }
  CHECK_EQUAL(fresh.recorder->entries.at(0).address[4], 7);
  CHECK_EQUAL(idle.recorder->entries.at(0).address[4], 0);
}

TEST(canonical, "Do streams over blocks look the same from where they stand, whatever banks and rows these are?") {
  const Spec spec = ddr4();
  const auto commands_of = [&](std::int64_t block, int fixed_level, std::vector<std::int64_t>& state) {
    Bench bench(spec);
    Frame frame(spec, fixed_level);
    std::mt19937 random(7);
    for (int i = 0; i < 200; ++i) {
      // Mostly onwards, sometimes back, in steps that carry over bank groups, banks and rows.
      Request request = request_of(i % 3 == 0 ? kWrite : kRead, -1, {0, 0, 0, 0, 0, static_cast<int>(random() % 8)});
      frame.place(block + i / 4 + static_cast<int>(random() % 3), request.address);
      bench.controller.send(request);
      bench.tick(1 + random() % 8);
    }
    frame.stand_at(block + 50);
    state = bench.controller.canonical(frame);
    for (auto& entry : bench.recorder->entries) entry.address.fill(0);
    return bench.recorder->entries;
  };
  std::vector<std::int64_t> here, there, elsewhere;
  const auto first = commands_of(1000, 1, here);
  for (const std::int64_t block : {1002, 1016, 5678, 16000}) {
    CHECK(commands_of(block, 1, there) == first);
    CHECK(there == here);
  }
  commands_of(1002, spec.bank_level, elsewhere);
  commands_of(1000, spec.bank_level, here);
  CHECK(elsewhere != here);  // with banks by number only whole rows are alike
  commands_of(1000 + spec.banks(), spec.bank_level, elsewhere);
  CHECK(elsewhere == here);
}
