#include "moeram/pim/micro_unit.h"

#include <algorithm>

#include "moeram/base/text.h"

namespace moeram {
namespace {

using Operation = MicroInstruction::Operation;
using Space = MicroOperand::Space;

// Calls `take` with every part between separators until it answers.
template <class Take>
std::string for_each_part(std::string_view text, char separator, Take take) {
  while (true) {
    const auto end = text.find(separator);
    if (const std::string wrong = take(text.substr(0, end)); !wrong.empty()) return wrong;
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end + 1);
  }
}

bool bit_of(std::int64_t value, int bit) { return bit >= 0 && (value >> bit & 1) != 0; }

}  // namespace

MicroUnit::MicroUnit(const MicroRules& rules)
    : rules_(rules),
      program_(static_cast<std::size_t>(rules.slots)),
      loaded_(program_.size(), false),
      jumps_left_(program_.size(), -1),
      bank_runs_(rules.stored.size(), true) {}

std::string MicroUnit::load(int column, std::string_view text) {
  const auto window = rules_.columns.at("CRF");
  if (column < window.first || column > window.last) {
    return "column " + std::to_string(column) + " holds no instructions; they lie in columns " + std::to_string(window.first) + " to " + std::to_string(window.last);
  }
  const int first = (column - window.first) * rules_.slots_per_access;
  int slot = first;
  return for_each_part(text, ';', [&](std::string_view part) -> std::string {
    if (slot == std::min(first + rules_.slots_per_access, rules_.slots)) return "one write holds " + std::to_string(rules_.slots_per_access) + " instructions";
    auto& instruction = program_[static_cast<std::size_t>(slot)];
    if (const std::string wrong = parse_micro_instruction(part, rules_, instruction); !wrong.empty()) return "slot " + std::to_string(slot) + ": " + wrong;
    if (instruction.back > slot) {
      return "slot " + std::to_string(slot) + ": JUMP goes back " + std::to_string(instruction.back) + " slots, before the first";
    }
    loaded_[static_cast<std::size_t>(slot++)] = true;
    return "";
  });
}

std::string MicroUnit::control(std::string_view text) {
  static const std::vector<std::string> known = {"on", "off", "no_even", "no_odd", "silent_rows", "all_registers", "zero_a", "zero_b"};
  bool on = false, off = false;
  std::fill(bank_runs_.begin(), bank_runs_.end(), true);
  all_registers_ = silent_rows_run_ = false;
  const std::string wrong = for_each_part(text, ' ', [&](std::string_view word) -> std::string {
    if (std::find(known.begin(), known.end(), word) == known.end()) return "'" + printable(word) + "' is unknown" + did_you_mean(word, known);
    on = on || word == "on";
    off = off || word == "off";
    all_registers_ = all_registers_ || word == "all_registers";
    silent_rows_run_ = silent_rows_run_ || word == "silent_rows";
    if (word == "no_even") bank_runs_.front() = false;
    if (word == "no_odd") bank_runs_.back() = false;
    return "";
  });
  if (!wrong.empty()) return wrong;
  if (on == off) return "one of 'on' and 'off' is expected";
  return on ? start() : stop();
}

std::string MicroUnit::start() {
  on_ = true;
  done_ = false;
  pc_ = commands_left_ = 0;
  std::fill(jumps_left_.begin(), jumps_left_.end(), -1);
  return settle();
}

std::string MicroUnit::stop() {
  const std::string wrong = finish();
  on_ = false;
  return wrong;
}

std::string MicroUnit::finish() const { return on_ && !done_ ? "EXIT was never reached: the program stands at " + place(pc_) : ""; }

std::string MicroUnit::place(int pc) const {
  const auto slot = static_cast<std::size_t>(pc);
  return "slot " + std::to_string(pc) + (pc < rules_.slots && loaded_[slot] ? " (" + program_[slot].text + ")" : "");
}

// On to the next instruction that a command runs. This ends: a jump is taken when it is met anew and only goes back, so the first slot
// of a loop is no jump.
std::string MicroUnit::settle() {
  while (true) {
    const auto slot = static_cast<std::size_t>(pc_);
    if (pc_ >= rules_.slots || !loaded_[slot]) return "the program runs into " + place(pc_) + ", which was never loaded; EXIT is missing";
    const MicroInstruction& instruction = program_[slot];
    if (instruction.operation == Operation::exit) done_ = true;
    if (instruction.operation != Operation::jump) return "";
    int& left = jumps_left_[slot];
    if (left < 0) left = instruction.count;
    if (left > 0) {
      --left;
      pc_ -= instruction.back;
    } else {
      left = -1;
      ++pc_;
    }
  }
}

std::string MicroUnit::access(const MicroAccess& access, bool running, MicroStep& step) {
  step = MicroStep{};
  if (access.row == rules_.register_row && !(running && silent_rows_run_)) return write_register(access, step);
  if (bit_of(access.row, rules_.silent_row_bit) && !(running && silent_rows_run_)) return "";
  if (!running) {
    move(access, step);
    return "";
  }
  if (!on_ || done_ || !bank_runs_[static_cast<std::size_t>(access.bank)]) return "";
  return run(access, step);
}

std::string MicroUnit::write_register(const MicroAccess& access, MicroStep& step) const {
  if (!access.write) return "registers cannot be read";
  for (const auto& [name, window] : rules_.columns) {
    if (access.column < window.first || access.column > window.last) continue;
    if (name == "CRF" || name == "control") return "column " + std::to_string(access.column) + " of the register row is written with instructions of its own";
    step.operation = "DATA";
    step.operands.push_back({Space::registers, name, access.column - window.first});
    return "";
  }
  return "column " + std::to_string(access.column) + " of the register row holds no register";
}

// Outside programs a read fills a register from the bank, a write stores one.
void MicroUnit::move(const MicroAccess& access, MicroStep& step) const {
  const auto bank = std::find_if(rules_.banks.begin(), rules_.banks.end(), [&](const auto& entry) { return entry.second == access.bank; });
  std::string file = rules_.stored[static_cast<std::size_t>(access.bank)];
  if (all_registers_) file = rules_.stored[static_cast<std::size_t>(access.column / rules_.repeats) % rules_.stored.size()];
  step.operation = "MOV";
  step.operands = {{Space::registers, file, access.column % rules_.repeats}, {Space::bank, bank->first, -1}};
  if (access.write) std::swap(step.operands[0], step.operands[1]);
}

// Registers that the address numbers: by the column, but MAC's inputs by the row's last bit and the columns' groups.
int MicroUnit::numbered(const MicroInstruction& instruction, std::size_t operand, const MicroAccess& access) const {
  const std::string& name = instruction.operands[operand].name;
  if (instruction.operation == Operation::mac && operand > 0 && name == rules_.inputs) {
    return static_cast<int>(access.row & 1) << 2 | (access.column >> 3 & 3);
  }
  return access.column % rules_.registers.at(name);
}

std::string MicroUnit::run(const MicroAccess& access, MicroStep& step) {
  const MicroInstruction& instruction = program_[static_cast<std::size_t>(pc_)];
  if (commands_left_ == 0) {
    const bool repeats = instruction.automatic || instruction.operation == Operation::fill;
    commands_left_ = instruction.operation == Operation::nop ? instruction.count + 1 : repeats ? rules_.repeats : 1;
  }
  if (instruction.operation == Operation::nop) {
    if (access.write) move(access, step);
  } else {
    step = {name_of(instruction.operation), instruction.operands, instruction.relu};
    for (std::size_t i = 0; i < step.operands.size(); ++i) {
      MicroOperand& operand = step.operands[i];
      if (operand.space == Space::registers && operand.index < 0) operand.index = numbered(instruction, i, access);
      if (operand.space != Space::bank) continue;
      if (rules_.banks.at(operand.name) != access.bank) return place(pc_) + " names " + operand.name + ", but the command goes to the other bank";
      if ((i == 0) != access.write) return place(pc_) + (i == 0 ? " writes to " : " reads ") + operand.name + ", but the command is a " + (access.write ? "write" : "read");
    }
  }
  if (--commands_left_ > 0) return "";
  ++pc_;
  return settle();
}

}  // namespace moeram
