#include "moeram/system/memory_system.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {

MemorySystem::MemorySystem(std::shared_ptr<const Spec> spec, std::unique_ptr<AddressMapper> mapper, const ControllerOptions& options)
    : spec_(std::move(spec)), mapper_(std::move(mapper)) {
  for (int channel = 0; channel < spec_->counts[0]; ++channel) channels_.push_back(std::make_unique<Controller>(*spec_, channel, options));
  wake_.assign(channels_.size(), 0);
}

bool MemorySystem::send(Request& request) {
  const auto channel = static_cast<std::size_t>(request.address[0]);
  Controller& controller = *channels_[channel];
  // From within a tick channels that are still to come have not made it yet.
  const Cycle reached = channel > ticking_ ? now_ - 1 : now_;
  if (controller.now() < reached) controller.pass(reached - controller.now());
  if (!controller.offer(request)) return false;
  ++accepted_[static_cast<std::size_t>(request.kind)];
  wake_[channel] = reached + 1;
  if (reached == now_) next_event_ = now_ + 1;
  return true;
}

// What was refused is offered again, so the last request is kept. Fields are written only where they change: reading
// many of them at once right after one was written stalls the processor.
Request& MemorySystem::request_of(int kind, std::int64_t byte_address) {
  if (byte_address != last_.byte_address || last_.kind < 0) {
    last_.address = mapper_->map(byte_address);
    last_.byte_address = byte_address;
    last_.final_command = -1;
  }
  if (kind != last_.kind) {
    last_.kind = kind;
    last_.final_command = -1;
  }
  return last_;
}

bool MemorySystem::send(int kind, std::int64_t byte_address, int source, std::uint64_t tag) {
  Request& request = request_of(kind, byte_address);
  if (request.source != source) request.source = source;
  if (request.tag != tag) request.tag = tag;
  return send(request);
}

bool MemorySystem::send(int kind, const Address& address) {
  Request request;
  request.kind = kind;
  request.address = address;
  return send(request);
}

void MemorySystem::refuse_again(int kind, std::int64_t byte_address, std::int64_t times) {
  refuse_again(kind, request_of(kind, byte_address).address, times);
}

void MemorySystem::refuse_again(int kind, const Address& address, std::int64_t times) {
  channels_[static_cast<std::size_t>(address[0])]->count_attempts(kind, times);
}

void MemorySystem::tick() {
  ++now_;
  for (ticking_ = 0; ticking_ < channels_.size(); ++ticking_) {
    channels_[ticking_]->tick();
    if (channels_[ticking_]->take_freed()) ++version_;
  }
  ticking_ = kNoChannel;
}

bool MemorySystem::asleep_for_ever() {
  return std::ranges::all_of(channels_, [](const auto& channel) { return channel->next_event() == kNever; });
}

void MemorySystem::tick_channels() {
  next_event_ = kNever;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    if (wake_[i] <= now_) {
      ticking_ = i;
      Controller& channel = *channels_[i];
      if (const Cycle behind = now_ - 1 - channel.now(); behind > 0) channel.pass(behind);
      channel.tick();
      if (channel.take_freed()) ++version_;
      wake_[i] = channel.quiet() ? channel.next_event() : now_ + 1;
    }
    next_event_ = std::min(next_event_, wake_[i]);
  }
  ticking_ = kNoChannel;
}

void MemorySystem::catch_up() {
  for (auto& channel : channels_) {
    if (channel->now() < now_) channel->pass(now_ - channel->now());
  }
}

namespace {

[[noreturn]] void refuse_to_wait(const MemorySystem& memory) {
  const Spec& spec = memory.spec();
  std::string message = "cycle " + std::to_string(memory.now()) + ": the front end waits for a memory in which nothing will happen";
  if (spec.two_step && spec.two_step->looks_for_row_zero) message += "; " + spec.standard + " serves row 0 only, as in Ramulator 2.0 (LPDDR5@2.1 serves every row)";
  throw EngineError(message);
}

// The two clocks on a common axis of steps: the front end ticks every `ratio.memory` steps, memory every `ratio.frontend`,
// the front end first where they meet.
struct Loop {
  FrontEnd& frontend;
  MemorySystem& memory;
  ClockRatio ratio;
  std::int64_t frontend_step = 0;  // of the next tick
  std::int64_t memory_step = 0;

  // Bring both to the first step in which anything but waiting can happen.
  void jump() {
    const Cycle event = memory.next_event();
    const std::int64_t quiet = frontend.quiet_ticks(memory);
    std::int64_t target = event == kNever ? kNever : memory_step + (event - memory.now() - 1) * ratio.frontend;
    if (quiet != kNever) target = std::min(target, frontend_step + quiet * ratio.memory);
    if (target == kNever) refuse_to_wait(memory);
    if (const auto ticks = ticks_before(target, memory_step, ratio.frontend); ticks > 0) memory.pass(ticks);
    if (const auto ticks = ticks_before(target, frontend_step, ratio.memory); ticks > 0) frontend.pass(memory, ticks);
  }

  // How many ticks lie before `target`; `step` moves to the first one that does not.
  static std::int64_t ticks_before(std::int64_t target, std::int64_t& step, std::int64_t spacing) {
    if (target <= step) return 0;
    const std::int64_t ticks = spacing == 1 ? target - step : (target - step + spacing - 1) / spacing;
    step += ticks * spacing;
    return ticks;
  }
};

}  // namespace

void run(FrontEnd& frontend, MemorySystem& memory, ClockRatio ratio, bool skip) {
  for (auto& channel : memory.channels()) channel->set_read_sink(&frontend);
  Loop loop{frontend, memory, ratio};
  while (true) {
    if (loop.frontend_step <= loop.memory_step) {
      const bool together = loop.frontend_step == loop.memory_step;
      loop.frontend_step += ratio.memory;
      if (skip && frontend.quiet_ticks(memory) > 0) {
        frontend.pass(memory, 1);
      } else {
        frontend.tick(memory);
      }
      if (frontend.finished()) break;
      if (!together) continue;
    }
    loop.memory_step += ratio.frontend;
    if (!skip) {
      memory.tick();
      if (frontend.quiet_ticks(memory) == kNever && memory.asleep_for_ever()) refuse_to_wait(memory);
      continue;
    }
    memory.tick_awake();
    if (memory.next_event() > memory.now() + 1) loop.jump();
  }
  memory.catch_up();
}

}  // namespace moeram
