#include "moeram/system/memory_system.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/frontend/load_store_trace.h"
#include "moeram/frontend/simple_o3.h"
#include "moeram/system/trace_folding.h"

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
  byte_address -= shift_.bytes;
  if (byte_address != last_.byte_address || last_.kind < 0) {
    last_.address = frame_ ? map_shifted(byte_address) : mapper_->map(byte_address);
    last_.byte_address = byte_address;
    last_.final_command = -1;
  }
  if (kind != last_.kind) {
    last_.kind = kind;
    last_.final_command = -1;
  }
  return last_;
}

Address MemorySystem::map_shifted(std::int64_t byte_address) const {
  Address address = mapper_->map(byte_address + shift_.bytes);
  frame_->place(frame_->block_of(address) - shift_.blocks, address);
  return address;
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
      wake_[i] = channel.next_event_if_left_alone();
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

void MemorySystem::take_as_done(const Period& period, std::int64_t times, Cycle since, Shift shift) {
  std::span<const std::int64_t> growth = period.counts;
  for (auto& accepted : accepted_) {
    accepted += times * growth.front();
    growth = growth.subspan(1);
  }
  const std::size_t width = growth.size() / channels_.size();
  for (auto& channel : channels_) {
    channel->take_as_done(growth.first(width), times, period.cycles, since);
    growth = growth.subspan(width);
  }
  done_ += times * period.cycles;
  shift_.bytes += shift.bytes;
  shift_.blocks += shift.blocks;
  if (!frame_) frame_.emplace(*spec_, 0);
  last_.kind = -1;
  // Refreshes may come earlier now.
  wake_.assign(channels_.size(), now_ + 1);
  next_event_ = now_ + 1;
}

Moment MemorySystem::moment(std::int64_t requests) const {
  Moment out{total_cycles(), requests, 0, accepted_};
  for (const auto& channel : channels_) {
    const auto counts = channel->counts();
    out.latencies_from_zero += counts.front();
    out.counts.insert(out.counts.end(), counts.begin(), counts.end());
  }
  return out;
}

Shift MemorySystem::place_of(std::int64_t byte_address, const Frame& frame) const {
  return {byte_address - shift_.bytes, frame.block_of(mapper_->map(byte_address)) - shift_.blocks};
}

void MemorySystem::canonical(const Frame& frame, bool with_refresh, std::vector<std::int64_t>& out) const {
  for (const auto& channel : channels_) {
    const auto state = channel->canonical(frame, with_refresh);
    out.insert(out.end(), state.begin(), state.end());
  }
}

namespace {

[[noreturn]] void refuse_to_wait(const MemorySystem& memory) {
  const Spec& spec = memory.spec();
  std::string message = "cycle " + std::to_string(memory.total_cycles()) + ": the front end waits for a memory in which nothing will happen";
  if (spec.two_step && spec.two_step->looks_for_row_zero) message += "; " + spec.standard + " serves row 0 only, as in Ramulator 2.0 (LPDDR5@2.1 serves every row)";
  throw EngineError(message);
}

// How many ticks lie before `target`; `step` moves to the first one that does not.
std::int64_t ticks_before(std::int64_t target, std::int64_t& step, std::int64_t spacing) {
  if (target <= step) return 0;
  const std::int64_t ticks = spacing == 1 ? target - step : (target - step + spacing - 1) / spacing;
  step += ticks * spacing;
  return ticks;
}

// The two clocks on a common axis of steps: the front end ticks every `ratio.memory` steps, memory every `ratio.frontend`,
// the front end first where they meet. `Front` is the front end's own class, so that its ticks are direct calls; only a
// trace that is folded asks when to look.
template <class Front, bool kFolds>
class Loop {
 public:
  Loop(Front& frontend, MemorySystem& memory, ClockRatio ratio, TraceFolding* folding) : frontend_(frontend), memory_(memory), ratio_(ratio), folding_(folding) {
    look_again();
  }

  // Each goes ahead to the first step in which anything but waiting can happen.
  void run() {
    while (play_until_memory_acts()) {
      pass_memory(memory_acts_);
      memory_step_ += ratio_.frontend;
      memory_.tick_awake();
      if constexpr (kFolds) {
        if (memory_.now() < refresh_at_) continue;
        folding_->at_refresh(frontend_step_ - memory_step_);
        look_again();
      }
    }
  }

  void run_tick_by_tick() {
    while (true) {
      if (frontend_step_ <= memory_step_) {
        const bool together = frontend_step_ == memory_step_;
        frontend_step_ += ratio_.memory;
        frontend_.tick(memory_);
        if (frontend_.finished()) return;
        if (!together) continue;
      }
      memory_step_ += ratio_.frontend;
      memory_.tick();
      if (frontend_.quiet_ticks(memory_) == kNever && memory_.asleep_for_ever()) refuse_to_wait(memory_);
    }
  }

 private:
  // False: the front end is finished.
  bool play_until_memory_acts() {
    find_next_act();
    while (frontend_step_ <= memory_acts_) {
      const std::int64_t quiet = frontend_.quiet_ticks(memory_);
      if (quiet > 0) {
        wait(quiet);
      } else if (!play_alone()) {
        play_tick();
      }
      if (frontend_.finished()) return false;
    }
    return true;
  }

  // Ticks of a front end that knows that it does not need memory. False: none of them.
  bool play_alone() {
    if constexpr (requires { frontend_.tick_alone(kNever); }) {
      const std::int64_t most = memory_acts_ == kNever ? kNever : (memory_acts_ - frontend_step_) / ratio_.memory + 1;
      const std::int64_t played = frontend_.tick_alone(most);
      if (played == 0) return false;
      frontend_step_ += played * ratio_.memory;
      pass_memory(frontend_step_ - ratio_.memory);
      return true;
    } else {
      return false;
    }
  }

  void play_tick() {
    pass_memory(frontend_step_);
    const Cycle event = memory_.next_event();
    frontend_.tick(memory_);
    frontend_step_ += ratio_.memory;
    if constexpr (kFolds) {
      if (frontend_.cursor().number() == turn_at_) {
        folding_->at_turn(frontend_step_ - memory_step_);
        look_again();
      }
    }
    if (memory_.next_event() != event) find_next_act();
  }

  void look_again() {
    if constexpr (!kFolds) return;
    turn_at_ = folding_->next_turn();
    refresh_at_ = folding_->next_refresh();
  }

  void find_next_act() {
    const Cycle event = memory_.next_event();
    memory_acts_ = event == kNever ? kNever : memory_step_ + std::max<Cycle>(event - memory_.now() - 1, 0) * ratio_.frontend;
  }

  void wait(std::int64_t quiet) {
    if (quiet == kNever && memory_acts_ == kNever) refuse_to_wait(memory_);
    std::int64_t target = memory_acts_ == kNever ? kNever : memory_acts_ + 1;
    if (quiet != kNever) target = std::min(target, frontend_step_ + quiet * ratio_.memory);
    pass_memory(std::min(target, memory_acts_));
    frontend_.pass(memory_, ticks_before(target, frontend_step_, ratio_.memory));
  }

  void pass_memory(std::int64_t target) {
    if (const auto ticks = ticks_before(target, memory_step_, ratio_.frontend); ticks > 0) memory_.pass(ticks);
  }

  Front& frontend_;
  MemorySystem& memory_;
  ClockRatio ratio_;
  TraceFolding* folding_;  // null unless it folds
  std::int64_t turn_at_ = kNever;  // requests sent
  Cycle refresh_at_ = kNever;
  std::int64_t frontend_step_ = 0;  // of the next tick
  std::int64_t memory_step_ = 0;
  std::int64_t memory_acts_ = 0;    // step of the first tick of memory in which something can happen
};

template <bool kFolds = false, class Front>
void play(Front& frontend, MemorySystem& memory, ClockRatio ratio, bool skip, TraceFolding* folding = nullptr) {
  Loop<Front, kFolds> loop(frontend, memory, ratio, folding);
  skip ? loop.run() : loop.run_tick_by_tick();
}

}  // namespace

std::int64_t run(FrontEnd& frontend, MemorySystem& memory, ClockRatio ratio, const RunOptions& options) {
  for (auto& channel : memory.channels()) channel->set_read_sink(&frontend);
  std::optional<TraceFolding> folding;
  if (auto* trace = dynamic_cast<LoadStoreTrace*>(&frontend)) {
    if (options.fold && options.skip && TraceFolding::is_exact_for(*trace, memory)) {
      play<true>(*trace, memory, ratio, true, &folding.emplace(*trace, memory));
    } else {
      play(*trace, memory, ratio, options.skip);
    }
  } else if (auto* cores = dynamic_cast<SimpleO3*>(&frontend)) {
    play(*cores, memory, ratio, options.skip);
  } else {
    play(frontend, memory, ratio, options.skip);
  }
  memory.catch_up();
  return folding ? folding->folded() : 0;
}

}  // namespace moeram
