#include "moeram/frontend/program_check.h"

#include <algorithm>
#include <bit>

namespace moeram {

ProgramCheck::ProgramCheck(const InstructionSet& set) : set_(set), channels_(static_cast<std::size_t>(set.channels)) {
  for (auto& channel : channels_) {
    if (set.modes) channel.mode.emplace(*set.modes);
    if (set.microcode) channel.unit.emplace(*set.microcode);
  }
}

std::string ProgramCheck::take(const Instruction& instruction, const std::string& text, const Sink& sink) {
  if (!set_.modes && !set_.microcode && !sink) return "";
  for (std::uint32_t mask = instruction.mask; mask != 0; mask &= mask - 1) {
    const int number = std::countr_zero(mask);
    const std::string wrong = take(channels_[static_cast<std::size_t>(number)], number, instruction, text, sink);
    if (!wrong.empty()) return wrong + " (channel " + std::to_string(number) + ")";
  }
  return "";
}

std::string ProgramCheck::take(Channel& channel, int number, const Instruction& instruction, const std::string& text, const Sink& sink) {
  const auto& operation = set_.operations[static_cast<std::size_t>(instruction.operation)];
  if (const std::string wrong = refuse_mode(channel, operation); !wrong.empty()) return wrong;
  if (const std::string wrong = refuse_row(channel, operation, instruction); !wrong.empty()) return wrong;
  for (std::int32_t i = 0; i < instruction.opsize; ++i) {
    const std::int32_t column = instruction.column + i;
    LoweredStep step{&instruction, number, column, {}};
    if (channel.unit && operation.reaches != InstructionSet::Reaches::nothing) {
      if (const std::string wrong = reach_units(channel, operation, instruction, text, column, step.micro); !wrong.empty()) return wrong;
    }
    if (channel.mode) channel.mode->access(static_cast<std::size_t>(instruction.line), operation.words, instruction.bank, instruction.row, column, text);
    if (sink) sink(step);
  }
  return "";
}

std::string ProgramCheck::refuse_mode(const Channel& channel, const InstructionSet::Operation& operation) const {
  if (operation.modes.empty() || std::find(operation.modes.begin(), operation.modes.end(), channel.mode->now()) != operation.modes.end()) return "";
  const auto name = [&](int mode) { return set_.modes->names[static_cast<std::size_t>(mode)]; };
  std::string needed;
  for (const int mode : operation.modes) needed += (needed.empty() ? "" : " or ") + name(mode);
  const std::string since = channel.mode->since() == 0 ? "from the beginning" : "since line " + std::to_string(channel.mode->since());
  return operation.words + " needs mode " + needed + ", and the mode is " + name(channel.mode->now()) + " " + since;
}

// What is closed by its number must be the row that the program used last.
std::string ProgramCheck::refuse_row(Channel& channel, const InstructionSet::Operation& operation, const Instruction& instruction) {
  if (instruction.bank < 0 || instruction.row < 0) return "";
  if (!operation.closes) {
    channel.rows[instruction.bank] = instruction.row;
    return "";
  }
  const auto open = channel.rows.find(instruction.bank);
  if (open != channel.rows.end() && open->second == instruction.row) return "";
  return "row " + std::to_string(instruction.row) + " is not open in bank " + std::to_string(instruction.bank) +
         (open == channel.rows.end() ? "; the program has used none there" : "; the program used row " + std::to_string(open->second) + " last");
}

std::string ProgramCheck::reach_units(Channel& channel, const InstructionSet::Operation& operation, const Instruction& instruction, const std::string& text,
                                      std::int32_t column, MicroStep& step) const {
  using Reaches = InstructionSet::Reaches;
  if (operation.reaches == Reaches::program) return channel.unit->load(column, text);
  if (operation.reaches == Reaches::control) return channel.unit->control(text);
  const bool running = channel.mode && channel.mode->now() == set_.running;
  const int bank = instruction.bank % static_cast<int>(set_.microcode->stored.size());
  return channel.unit->access({operation.reaches == Reaches::write, bank, instruction.row, column}, running, step);
}

std::string ProgramCheck::finish() const {
  for (const auto& channel : channels_) {
    if (channel.unit) {
      if (const std::string wrong = channel.unit->finish(); !wrong.empty()) return wrong;
    }
    if (channel.mode && channel.mode->now() != 0) {
      return "the program ends in mode " + set_.modes->names[static_cast<std::size_t>(channel.mode->now())] + ", not in " + set_.modes->names.front() +
             " as it began";
    }
  }
  return "";
}

}  // namespace moeram
