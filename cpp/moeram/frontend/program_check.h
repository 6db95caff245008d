// What a program does to modes and to units that run microcode, channel by channel and in its own order: neither depends on time.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "moeram/frontend/instruction_trace.h"
#include "moeram/pim/micro_unit.h"

namespace moeram {

// One column command of a program.
struct LoweredStep {
  const Instruction* instruction = nullptr;
  int channel = 0;
  std::int32_t column = 0;
  MicroStep micro;
};

class ProgramCheck {
 public:
  using Sink = std::function<void(const LoweredStep&)>;
  explicit ProgramCheck(const InstructionSet& set);
  // What is wrong with the next instruction, or nothing. `sink`: hears of every column command in every channel.
  std::string take(const Instruction& instruction, const std::string& text, const Sink& sink = {});
  // What is wrong with ending here.
  std::string finish() const;

 private:
  struct Channel {
    std::optional<ProgramMode> mode;
    std::optional<MicroUnit> unit;
    std::map<std::int32_t, std::int64_t> rows;  // [bank] named last
    std::map<std::int32_t, std::pair<std::int64_t, std::int32_t>> columns;  // [bank] row, and how many of its columns were named
  };
  std::string take(Channel& channel, int number, const Instruction& instruction, const std::string& text, const Sink& sink);
  std::string refuse_columns(Channel& channel, const InstructionSet::Operation& operation, const Instruction& instruction) const;
  static std::string refuse_row(Channel& channel, const InstructionSet::Operation& operation, const Instruction& instruction);
  std::string refuse_mode(const Channel& channel, const InstructionSet::Operation& operation) const;
  std::string reach_units(Channel& channel, const InstructionSet::Operation& operation, const Instruction& instruction, const std::string& text,
                          std::int32_t column, MicroStep& step) const;

  const InstructionSet& set_;
  std::vector<Channel> channels_;
};

}  // namespace moeram
