// Instructions that near-memory units hold themselves and run one by one, each when a column command comes by.
//
// A standard's section `unit.microcode` names slots, registers and banks; a trace loads instructions as text:
// "MAC GRF_B GRF_A EVEN_BANK AUTO", "JUMP 1 7", "NOP 7", "EXIT".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeram/base/params.h"

namespace moeram {

struct MicroOperand {
  enum class Space : std::uint8_t { none, registers, latch, bank };
  Space space = Space::none;
  std::string name;  // as declared: "GRF_A", "EVEN_BANK"
  int index = -1;    // of a register; -1: taken from the address
};

struct MicroInstruction {
  enum class Operation : std::uint8_t { add, mul, mac, mad, mov, fill, nop, jump, exit };
  Operation operation = Operation::nop;
  std::vector<MicroOperand> operands;  // destination first
  bool automatic = false;              // register numbers come from the address, and the instruction runs `repeats` times
  bool relu = false;
  int count = 0;   // NOP: commands that it waits for, less one; JUMP: how often it is taken
  int back = 0;    // JUMP: slots
  std::string text;
};

std::string name_of(MicroInstruction::Operation operation);

struct MicroRules {
  int slots = 0;
  int slots_per_access = 0;            // that one write loads
  int repeats = 0;                     // commands that a FILL or an automatic instruction runs for
  std::map<std::string, int> registers;
  std::string accumulator, inputs;     // the registers that MAC adds to, and those that it numbers by row and column
  std::map<std::string, std::string> latches;  // operation -> the latch that keeps its result
  std::map<std::string, int> banks;    // of a unit
  std::vector<std::string> stored;     // [bank of a unit] registers that plain moves and a NOP's writes go through
  std::int64_t register_row = -1;
  struct Window {
    int first = 0, last = 0;
  };
  std::map<std::string, Window> columns;  // of the register row
  int silent_row_bit = -1;             // rows with this bit run nothing
  bool holds_bank(const std::string& name) const { return banks.contains(name); }
};

// `section`: unit.microcode. Throws ConfigError.
MicroRules read_micro_rules(const Params& section);

// What is wrong, or nothing.
std::string parse_micro_instruction(std::string_view text, const MicroRules& rules, MicroInstruction& out);

}  // namespace moeram
