#include "moeram/system/instruction_run.h"

#include <algorithm>
#include <bit>

#include "moeram/base/errors.h"
#include "moeram/system/repeats.h"
#include "moeram/system/request_stream.h"

namespace moeram {
namespace {

class Engine : public ReadSink {
 public:
  Engine(const InstructionSet& set, QueuedMemory& memory, std::int64_t channel_ratio)
      : set_(set), memory_(memory), ratio_(channel_ratio), registers_(set.registers), replies_(memory.channels().size(), 0) {
    for (QueuedController* channel : memory.simulated()) {
      channel->set_read_sink(this);
      simulated_ |= std::uint32_t{1} << channel->channel();
    }
  }

  void on_read_done(const Request& request) override { ++replies_[static_cast<std::size_t>(request.address[0])]; }

  const std::vector<std::int64_t>& registers() const { return registers_; }

  // The engine's cycle in which the instruction, taken up in `cycle`, is done.
  Cycle play(const Instruction& instruction, Cycle cycle) {
    const auto& operation = set_.operations[static_cast<std::size_t>(instruction.operation)];
    if (instruction.register_number >= 0) registers_[static_cast<std::size_t>(instruction.register_number)] = instruction.data;
    Cycle done = cycle;
    if (operation.request < 0) return done;
    const Request request = expand(operation, instruction);
    const std::uint32_t channels = instruction.mask & simulated_;
    for (std::uint32_t mask = channels; mask != 0; mask &= mask - 1) {
      const int channel = std::countr_zero(mask);
      done = std::max(done, feed(request, channel, instruction.opsize, cycle));
    }
    if (!operation.waits) return done;
    for (std::uint32_t mask = channels; mask != 0; mask &= mask - 1) {
      done = std::max(done, await(operation, std::countr_zero(mask), instruction.opsize));
    }
    return done;
  }

 private:
  Request expand(const InstructionSet::Operation& operation, const Instruction& instruction) const {
    Request request;
    request.kind = operation.request;
    request.line = instruction.line;
    request.tag = operation.waits ? 1 : 0;
    request.address.fill(-1);
    int rest = instruction.bank;
    for (int level = set_.bank_level; level > 0 && instruction.bank >= 0; --level) {
      const auto l = static_cast<std::size_t>(level);
      request.address[l] = rest % set_.bank_counts[l];
      rest /= set_.bank_counts[l];
    }
    const auto row_level = static_cast<std::size_t>(set_.bank_level + 1);
    request.address[row_level] = static_cast<std::int32_t>(
        operation.row_register >= 0 ? operation.row_base + registers_[static_cast<std::size_t>(operation.row_register)] : instruction.row);
    request.address[row_level + 1] = instruction.column;
    return request;
  }

  // Sends `count` requests from `cycle` on; returns the cycle in which the last was accepted.
  Cycle feed(Request request, int number, int count, Cycle cycle) {
    QueuedController& channel = *memory_.channels()[static_cast<std::size_t>(number)];
    request.address[0] = number;
    replies_[static_cast<std::size_t>(number)] = 0;
    channel.run_until(ceil_div(cycle, ratio_));
    const Cycle offered = channel.now();
    const Cycle taken = channel.send_run(request, count);
    return taken == offered ? cycle : (taken - 1) * ratio_ + 1;
  }

  // The cycle in which the last reply of a channel came. Throws EngineError if it never will.
  Cycle await(const InstructionSet::Operation& operation, int number, int count) {
    QueuedController& channel = *memory_.channels()[static_cast<std::size_t>(number)];
    const std::int64_t& replies = replies_[static_cast<std::size_t>(number)];
    while (replies < count) {
      if (channel.drained()) {
        throw EngineError(operation.words + " waits for ever in channel " + std::to_string(number) + ": " + std::to_string(count - replies) + " of " +
                          std::to_string(count) + " replies never come, and nothing is on its way; '" +
                          memory_.spec().requests[static_cast<std::size_t>(operation.request)].name + "' must be among the controller's replies or markers");
      }
      channel.step();
    }
    return (channel.now() - 1) * ratio_;
  }

  const InstructionSet& set_;
  QueuedMemory& memory_;
  std::int64_t ratio_;
  std::uint32_t simulated_ = 0;  // mask of channels
  std::vector<std::int64_t> registers_;
  std::vector<std::int64_t> replies_;  // [channel] to the instruction at hand
};

// What stops the engine is said with the line that waited.
Cycle play_line(Engine& engine, const InstructionTrace& program, const Instruction& instruction, Cycle cycle, Cycle most_cycles = kNever) {
  try {
    const Cycle done = engine.play(instruction, cycle);
    refuse_cycles(done + 1, most_cycles);
    return done;
  } catch (const EngineError& error) {
    throw EngineError(program.path + ":" + std::to_string(instruction.line) + ": " + error.what());
  }
}

}  // namespace

QueuedResult play_instructions(const InstructionSet& set, const InstructionTrace& program, QueuedMemory& memory, ClockRatio ratio,
                               std::int64_t channel_ratio, Cycle most_cycles) {
  const auto& trace = program.instructions;
  Engine engine(set, memory, channel_ratio);
  std::vector<std::int64_t> played(set.operations.size(), 0);
  const auto capacity = static_cast<std::size_t>(set.queue);
  std::vector<Cycle> done(trace.size() > capacity ? trace.size() : 0);  // only if the queue can be full
  Cycle cycle = 0;          // of the engine, for the next instruction
  std::int64_t tick = -1;   // of the front end that handed over the last one
  std::int64_t stalls = 0;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const std::int64_t first = tick + 1;
    tick = i < capacity ? first : std::max(first, done[i - capacity] * ratio.frontend / ratio.memory + 1);
    stalls += tick - first;
    const Cycle end = play_line(engine, program, trace[i], std::max(cycle, ceil_div(tick * ratio.memory, ratio.frontend)), most_cycles);
    if (!done.empty()) done[i] = end;
    cycle = end + 1;
    ++played[static_cast<std::size_t>(trace[i].operation)];
  }
  QueuedResult result;
  // The front end looks in its next tick.
  result.cycles = ceil_div(((cycle - 1) * ratio.frontend / ratio.memory + 1) * ratio.memory, ratio.frontend);
  refuse_cycles(result.cycles, most_cycles);
  for (QueuedController* channel : memory.simulated()) channel->run_until(ceil_div(result.cycles, channel_ratio));
  for (std::size_t i = 0; i < set.operations.size(); ++i) result.totals.emplace_back("total_num_" + set.operations[i].statistic + "_requests", played[i]);
  result.totals.emplace_back("total_num_ISR_full", stalls);
  return result;
}

// With one channel at the engine's clock instructions never wait for the front end, so the channel's state is all that a turn leaves.
Turns play_turns(const InstructionSet& set, const InstructionTrace& program, QueuedMemory& memory, std::int64_t most, bool fold) {
  if (memory.channels().size() != 1) throw ConfigError("turns of instructions need a memory of one channel");
  QueuedController& channel = *memory.channels().front();
  Engine engine(set, memory, 1);
  Repeats repeats;
  Turns turns;
  Cycle cycle = 0;
  for (std::int64_t done = 0;; ++done) {
    const auto& issued = channel.statistics().issued;
    turns.end.push_back(cycle);
    turns.issued.insert(turns.issued.end(), issued.begin(), issued.end());
    // Brought to the cycle of the next instruction, so that the engine's distance from it is no part of the state.
    channel.run_until(cycle);
    if (fold) {
      auto state = channel.canonical();
      state.insert(state.end(), engine.registers().begin(), engine.registers().end());
      if (const Period* period = repeats.visit(pack(state), {cycle, done, 0, {}}); period != nullptr) {
        turns.period = period->requests;
        turns.period_begin = done - period->requests;
        return turns;
      }
    }
    if (done == most) return turns;
    for (std::size_t i = 0; i + 1 < program.instructions.size(); ++i) cycle = play_line(engine, program, program.instructions[i], cycle) + 1;
  }
}

}  // namespace moeram
