#include "moeram/system/memory_system.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {

MemorySystem::MemorySystem(std::shared_ptr<const Spec> spec, std::unique_ptr<AddressMapper> mapper, const ControllerOptions& options)
    : spec_(std::move(spec)), mapper_(std::move(mapper)) {
  for (int channel = 0; channel < spec_->counts[0]; ++channel) channels_.push_back(std::make_unique<Controller>(*spec_, channel, options));
}

bool MemorySystem::send(const Request& request) {
  if (!channels_[static_cast<std::size_t>(request.address[0])]->send(request)) return false;
  ++accepted_[static_cast<std::size_t>(request.kind)];
  asleep_until_ = 0;
  return true;
}

bool MemorySystem::send(int kind, std::int64_t byte_address, int source, std::uint64_t tag) {
  Request request;
  request.kind = kind;
  request.byte_address = byte_address;
  request.address = mapper_->map(byte_address);
  request.source = source;
  request.tag = tag;
  return send(request);
}

bool MemorySystem::send(int kind, const Address& address) {
  Request request;
  request.kind = kind;
  request.address = address;
  return send(request);
}

void MemorySystem::refuse_again(int kind, std::int64_t byte_address, std::int64_t times) { refuse_again(kind, mapper_->map(byte_address), times); }

void MemorySystem::refuse_again(int kind, const Address& address, std::int64_t times) {
  Request request;
  request.kind = kind;
  channels_[static_cast<std::size_t>(address[0])]->refuse_again(request, times);
}

void MemorySystem::tick() {
  ++now_;
  for (auto& channel : channels_) {
    channel->tick();
    if (channel->take_freed()) ++version_;
  }
}

void MemorySystem::tick_if_awake() {
  if (now_ + 1 < asleep_until_) {
    pass(1);
    return;
  }
  tick();
  asleep_until_ = next_event();
}

Cycle MemorySystem::next_event() {
  if (now_ < asleep_until_) return asleep_until_;
  Cycle next = kNever;
  for (auto& channel : channels_) next = std::min(next, channel->next_event());
  return next;
}

void MemorySystem::pass(Cycle cycles) {
  now_ += cycles;
  for (auto& channel : channels_) channel->pass(cycles);
}

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The first iteration after `step` in which anything but waiting can happen; memory and front end are brought up to it.
std::int64_t jump(FrontEnd& frontend, MemorySystem& memory, ClockRatio ratio, std::int64_t step) {
  const Cycle event = memory.next_event();
  if (event <= memory.now() + 1) return step;
  const std::int64_t quiet = frontend.quiet_ticks(memory);
  // Memory's n-th tick is in iteration (n - 1) * ratio.frontend; the front end ticks in the multiples of ratio.memory.
  std::int64_t target = event == kNever ? kNever : (event - 1) * ratio.frontend;
  if (quiet != kNever) target = std::min(target, (ceil_div(step, ratio.memory) + quiet) * ratio.memory);
  if (target == kNever) throw EngineError("cycle " + std::to_string(memory.now()) + ": the front end waits for a memory in which nothing will happen");
  if (target <= step) return step;
  memory.pass(ceil_div(target, ratio.frontend) - ceil_div(step, ratio.frontend));
  if (const auto ticks = ceil_div(target, ratio.memory) - ceil_div(step, ratio.memory); ticks > 0) frontend.pass(memory, ticks);
  return target;
}

}  // namespace

void run(FrontEnd& frontend, MemorySystem& memory, ClockRatio ratio, bool skip) {
  for (auto& channel : memory.channels()) channel->set_read_sink(&frontend);
  std::int64_t frontend_step = 0;
  std::int64_t memory_step = 0;
  for (std::int64_t step = 0;; step = std::min(frontend_step, memory_step)) {
    if (step == frontend_step) {
      frontend_step += ratio.memory;
      if (skip && frontend.quiet_ticks(memory) > 0) {
        frontend.pass(memory, 1);
      } else {
        frontend.tick(memory);
      }
    }
    if (frontend.finished()) break;
    if (step != memory_step) continue;
    memory_step += ratio.frontend;
    if (!skip) {
      memory.tick();
      continue;
    }
    memory.tick_if_awake();
    step = jump(frontend, memory, ratio, step + 1);
    frontend_step = ceil_div(step, ratio.memory) * ratio.memory;
    memory_step = ceil_div(step, ratio.frontend) * ratio.frontend;
  }
}

}  // namespace moeram
