// One line of a program of instructions: its words and fields, and whether what they name exists.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "moeram/frontend/instruction_trace.h"

namespace moeram {

class LineReader {
 public:
  // The set must outlive the reader.
  LineReader(const InstructionSet& set, char delimiter);
  // What is wrong, or nothing. `rest`: the instruction's text, if it has one.
  std::string read(std::string_view line, Instruction& out, std::string_view& rest) const;

 private:
  using Field = InstructionSet::Field;
  using Operation = InstructionSet::Operation;
  std::uint32_t all_channels() const { return set_.channels == 32 ? ~0U : (1U << set_.channels) - 1; }
  std::string take(const Operation& operation, Field field, std::int64_t value, Instruction& out) const;
  std::string take_bank(const Operation& operation, std::int64_t value, Instruction& out) const;
  std::string take_mask(const Operation& operation, std::int64_t value, Instruction& out) const;
  std::string take_opsize(const Operation& operation, std::int64_t value, Instruction& out) const;
  std::string check_whole(const Operation& operation, const Instruction& out) const;
  std::string check_general(const Operation& operation, const Instruction& out, std::int64_t first) const;

  const InstructionSet& set_;
  char delimiter_;
  std::unordered_map<std::string, int> names_;
  std::vector<std::string> words_;
};

}  // namespace moeram
