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
  const auto& operation = set_.operations[static_cast<std::size_t>(instruction.operation)];
  const bool counts = set_.counts_columns && operation.span != 0 && instruction.row >= 0;
  if (!set_.modes && !set_.microcode && !sink && !counts) return "";
  for (std::uint32_t mask = instruction.mask; mask != 0; mask &= mask - 1) {
    const int number = std::countr_zero(mask);
    Channel& channel = channels_[static_cast<std::size_t>(number)];
    std::string wrong = counts ? refuse_columns(channel, operation, instruction) : "";
    if (wrong.empty() && (set_.modes || set_.microcode || sink)) wrong = take(channel, number, instruction, text, sink);
    if (!wrong.empty()) return wrong + " (channel " + std::to_string(number) + ")";
  }
  return "";
}

// Columns of a row go on where the last ones ended, and from the first after the row was opened anew.
std::string ProgramCheck::refuse_columns(Channel& channel, const InstructionSet::Operation& operation, const Instruction& instruction) const {
  auto& [row, columns] = channel.columns.try_emplace(instruction.bank, -1, 0).first->second;
  if (operation.opens || row != instruction.row) columns = 0;
  row = instruction.row;
  if (operation.opens) return "";
  const std::int32_t before = columns;
  columns += instruction.opsize;
  if (columns <= set_.columns) return "";
  return std::to_string(instruction.opsize) + " columns" + (before > 0 ? " behind " + std::to_string(before) + " of them" : "") + " leave row " + std::to_string(row) +
         ", which has " + std::to_string(set_.columns);
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
