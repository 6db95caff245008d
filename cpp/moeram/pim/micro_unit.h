// The units of one channel that run microcode in lock step: what each column command makes them do, in the order of the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moeram/pim/microcode.h"

namespace moeram {

// What one column command does in every unit, register numbers and all.
struct MicroStep {
  std::string operation;  // of the instruction; "DATA": a register takes what the host writes; "": nothing
  std::vector<MicroOperand> operands;
  bool relu = false;
};

struct MicroAccess {
  bool write = false;
  int bank = 0;  // of a unit
  std::int64_t row = 0;
  int column = 0;
};

class MicroUnit {
 public:
  explicit MicroUnit(const MicroRules& rules);

  // All of these say what is wrong, or nothing.
  // Instructions of one write, separated by ';'.
  std::string load(int column, std::string_view text);
  // Words: on, off, no_even, no_odd (banks that run nothing), silent_rows (they run too), all_registers (plain moves reach both
  // register files), zero_a, zero_b.
  std::string control(std::string_view text);
  // A column command to all units; `running`: it runs an instruction, else it moves between bank and registers.
  std::string access(const MicroAccess& access, bool running, MicroStep& step);
  // The program ends here.
  std::string finish() const;

 private:
  std::string start();
  std::string stop();
  std::string settle();
  std::string run(const MicroAccess& access, MicroStep& step);
  std::string place(int pc) const;
  void move(const MicroAccess& access, MicroStep& step) const;
  std::string write_register(const MicroAccess& access, MicroStep& step) const;
  int numbered(const MicroInstruction& instruction, std::size_t operand, const MicroAccess& access) const;

  const MicroRules& rules_;
  std::vector<MicroInstruction> program_;
  std::vector<bool> loaded_;
  std::vector<int> jumps_left_;  // [slot] -1: not visited
  int pc_ = 0;
  int commands_left_ = 0;        // of the instruction at hand; 0: it begins
  bool on_ = false, done_ = false;
  bool all_registers_ = false, silent_rows_run_ = false;
  std::vector<bool> bank_runs_;
};

}  // namespace moeram
