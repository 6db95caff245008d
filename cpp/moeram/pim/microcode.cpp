#include "moeram/pim/microcode.h"

#include <algorithm>

#include "moeram/base/text.h"

namespace moeram {
namespace {

using Operation = MicroInstruction::Operation;
using Space = MicroOperand::Space;

struct Shape {
  const char* name;
  Operation operation;
  std::size_t operands;  // registers and banks
};

constexpr Shape kShapes[] = {{"ADD", Operation::add, 3}, {"MUL", Operation::mul, 3},  {"MAC", Operation::mac, 3},
                             {"MAD", Operation::mad, 4}, {"MOV", Operation::mov, 2},  {"FILL", Operation::fill, 2},
                             {"NOP", Operation::nop, 0}, {"JUMP", Operation::jump, 0}, {"EXIT", Operation::exit, 0}};
constexpr std::int64_t kMostTimes = 65535;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != ',') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

// "GRF_A[3]", "GRF_A", "EVEN_BANK".
std::string parse_operand(const std::string& word, const MicroRules& rules, MicroOperand& out) {
  const auto bracket = word.find('[');
  out.name = word.substr(0, bracket);
  const bool latch = std::any_of(rules.latches.begin(), rules.latches.end(), [&](const auto& entry) { return entry.second == out.name; });
  const auto registers = rules.registers.find(out.name);
  if (registers == rules.registers.end() && !latch && !rules.holds_bank(out.name)) {
    std::vector<std::string> known;
    for (const auto& [name, count] : rules.registers) known.push_back(name);
    for (const auto& [name, number] : rules.banks) known.push_back(name);
    for (const auto& [name, kept] : rules.latches) known.push_back(kept);
    return "operand '" + printable(out.name) + "' is unknown" + did_you_mean(out.name, known);
  }
  out.space = latch ? Space::latch : rules.holds_bank(out.name) ? Space::bank : Space::registers;
  if (bracket == std::string::npos) return "";
  if (out.space != Space::registers || word.back() != ']') return "operand '" + printable(word) + "' is no register with a number";
  const auto index = parse_integer(word.substr(bracket + 1, word.size() - bracket - 2));
  if (!index || *index < 0 || *index >= registers->second) {
    return printable(word) + ": " + out.name + " has registers 0 to " + std::to_string(registers->second - 1);
  }
  out.index = static_cast<int>(*index);
  return "";
}

std::string check_operands(const MicroRules& rules, const MicroInstruction& instruction) {
  const std::string name = name_of(instruction.operation);
  const bool by_address = instruction.automatic || instruction.operation == Operation::fill;
  int banks = 0;
  for (const auto& operand : instruction.operands) {
    banks += operand.space == Space::bank;
    if (operand.space != Space::registers) continue;
    if (by_address && operand.index >= 0) return name + ": the address numbers the registers; " + operand.name + " must have no number";
    if (!by_address && operand.index < 0) return name + ": " + operand.name + " needs a number, or the instruction AUTO";
  }
  if (banks > 1) return name + " names more than one bank; a command reaches one of a unit";
  const MicroOperand& to = instruction.operands.front();
  const bool moves = instruction.operation == Operation::mov;
  if (to.space == Space::bank && !moves) return name + " cannot write to " + to.name + "; MOV does";
  if (instruction.operation == Operation::mac && to.name != rules.accumulator) return "MAC adds to " + rules.accumulator + ", not to " + to.name;
  if (to.space == Space::latch) {
    const auto own = rules.latches.find(name);
    if (own == rules.latches.end() || own->second != to.name) return name + " does not write " + to.name;
  }
  return "";
}

// The rest of NOP and JUMP: numbers.
std::string parse_numbers(const std::vector<std::string>& words, MicroInstruction& out) {
  const bool jump = out.operation == Operation::jump;
  const std::size_t wanted = out.operation == Operation::exit ? 0 : jump ? 2 : 1;
  if (words.size() - 1 != wanted) return jump ? "JUMP has slots to go back and how often" : words[0] + " has " + std::to_string(wanted) + " numbers";
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto number = parse_integer(words[i]);
    if (!number || *number < (jump ? 1 : 0) || *number > kMostTimes) return words[0] + ": '" + printable(words[i]) + "' lies outside " + (jump ? "1" : "0") + " to 65535";
    numbers.push_back(*number);
  }
  if (jump) out.back = static_cast<int>(numbers[0]);
  if (!numbers.empty()) out.count = static_cast<int>(numbers.back());
  return "";
}

}  // namespace

std::string name_of(Operation operation) {
  for (const auto& shape : kShapes) {
    if (shape.operation == operation) return shape.name;
  }
  return "?";
}

std::string parse_micro_instruction(std::string_view text, const MicroRules& rules, MicroInstruction& out) {
  std::vector<std::string> words = words_of(text);
  if (words.empty()) return "an instruction is missing";
  const auto shape = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& item) { return item.name == words[0]; });
  if (shape == std::end(kShapes)) {
    std::vector<std::string> names;
    for (const auto& item : kShapes) names.emplace_back(item.name);
    return "instruction '" + printable(words[0]) + "' is unknown" + did_you_mean(words[0], names);
  }
  out = MicroInstruction{};
  out.operation = shape->operation;
  out.text = join(words, " ");
  if (shape->operands == 0) return parse_numbers(words, out);
  for (; words.size() > 1 && (words.back() == "AUTO" || words.back() == "RELU"); words.pop_back()) {
    (words.back() == "AUTO" ? out.automatic : out.relu) = true;
  }
  if (out.relu && out.operation != Operation::mov && out.operation != Operation::fill) return words[0] + " has no RELU; MOV and FILL have";
  if (words.size() - 1 != shape->operands) return words[0] + " has " + std::to_string(shape->operands) + " operands, found " + std::to_string(words.size() - 1);
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (const std::string wrong = parse_operand(words[i], rules, out.operands.emplace_back()); !wrong.empty()) return wrong;
  }
  return check_operands(rules, out);
}

MicroRules read_micro_rules(const Params& section) {
  MicroRules rules;
  rules.slots = static_cast<int>(section.integer("slots"));
  rules.slots_per_access = static_cast<int>(section.integer("slots_per_access"));
  rules.repeats = static_cast<int>(section.integer("repeats"));
  if (rules.slots < 1 || rules.slots > 1024 || rules.slots_per_access < 1 || rules.repeats < 1) section.fail("slots, slots_per_access and repeats must be positive, slots at most 1024");
  const Params registers = section.child("registers");
  for (const auto& name : registers.keys()) {
    rules.registers[name] = static_cast<int>(registers.integer(name));
    if (rules.registers[name] < 1) registers.child(name).fail("at least one register is expected");
  }
  for (const auto& name : section.child("latches").keys()) rules.latches[name] = section.child("latches").text(name);
  const Params banks = section.child("banks");
  for (const auto& name : banks.keys()) {
    rules.banks[name] = static_cast<int>(rules.stored.size());
    rules.stored.push_back(banks.text(name));
    if (!rules.registers.contains(rules.stored.back())) banks.child(name).fail("register '" + rules.stored.back() + "' is unknown");
  }
  rules.accumulator = section.text("accumulator");
  rules.inputs = section.text("inputs");
  for (const auto& name : {rules.accumulator, rules.inputs}) {
    if (!rules.registers.contains(name)) section.fail("register '" + name + "' is unknown");
  }
  rules.register_row = section.integer("register_row");
  rules.silent_row_bit = static_cast<int>(section.integer("silent_row_bit"));
  const Params columns = section.child("columns");
  for (const auto& name : columns.keys()) {
    const auto window = columns.list(name);
    if (window.size() != 2) columns.child(name).fail("the first and the last column are expected");
    rules.columns[name] = {static_cast<int>(window[0].as_integer()), static_cast<int>(window[1].as_integer())};
    if (rules.columns[name].first > rules.columns[name].last) columns.child(name).fail("the first column lies behind the last");
  }
  if (!rules.columns.contains("CRF")) columns.fail("the columns 'CRF', which take the program, are missing");
  if (rules.stored.empty()) banks.fail("a unit has at least one bank");
  if (const auto unread = section.unread(); !unread.empty()) {
    unread.front().fail("key '" + unread.front().key() + "' is unknown in microcode" + did_you_mean(unread.front().key(), unread.front().asked_beside()));
  }
  return rules;
}

}  // namespace moeram
