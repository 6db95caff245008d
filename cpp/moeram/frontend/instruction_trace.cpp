#include "moeram/frontend/instruction_trace.h"

#include <algorithm>
#include <bit>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/frontend/channel_classes.h"
#include "moeram/frontend/line_reader.h"
#include "moeram/frontend/program_check.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {

using Field = InstructionSet::Field;

constexpr std::int64_t kMostRegisters = std::int64_t{1} << 31;

const std::vector<std::pair<std::string, Field>>& field_names() {
  static const std::vector<std::pair<std::string, Field>> names = {{"gpr", Field::general}, {"opsize", Field::opsize}, {"mask", Field::mask},
                                                                   {"channel", Field::channel}, {"bank", Field::bank}, {"row", Field::row},
                                                                   {"column", Field::column}, {"register", Field::register_number}, {"data", Field::data},
                                                                   {"text", Field::text}, {"entry", Field::entry}, {"vectors", Field::vectors}};
  return names;
}

Field field_of(const Params& item) {
  std::vector<std::string> known;
  for (const auto& [name, field] : field_names()) {
    if (name == item.as_text()) return field;
    known.push_back(name);
  }
  item.fail("field '" + item.as_text() + "' is unknown" + did_you_mean(item.as_text(), known));
}

// Requests that fill a buffer, one access each.
std::int64_t most_in_buffer(const Params& entry, const std::optional<UnitSection>& unit) {
  const std::string name = entry.text("fills");
  if (!unit) entry.child("fills").fail("the standard has no section 'unit' with buffers");
  const auto found = unit->accesses.find(name);
  if (found != unit->accesses.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [buffer, accesses] : unit->accesses) known.push_back(buffer);
  entry.child("fills").fail("buffer '" + name + "' is unknown" + did_you_mean(name, known));
}

InstructionSet::Reaches reaches_of(const Params& entry) {
  using Reaches = InstructionSet::Reaches;
  static const std::vector<std::pair<std::string, Reaches>> words = {{"read", Reaches::read}, {"write", Reaches::write}, {"program", Reaches::program}, {"control", Reaches::control}};
  if (!entry.has("reaches_units_by")) return Reaches::nothing;
  const std::string word = entry.text("reaches_units_by");
  std::vector<std::string> known;
  for (const auto& [name, reaches] : words) {
    if (name == word) return reaches;
    known.push_back(name);
  }
  entry.child("reaches_units_by").fail("'" + word + "' is unknown" + did_you_mean(word, known));
}

InstructionSet::Operation read_operation(const Params& entry, const std::string& words, const std::optional<UnitSection>& unit, const Spec& spec) {
  InstructionSet::Operation operation;
  operation.words = words;
  operation.statistic = entry.text("statistic");
  for (const auto& item : entry.list("fields")) operation.fields.push_back(field_of(item));
  for (std::size_t i = 0; i + 1 < operation.fields.size(); ++i) {
    if (operation.fields[i] == Field::text) entry.child("fields").fail("text is the last field");
  }
  operation.column = static_cast<std::int32_t>(entry.integer("column", 0));
  operation.bank = static_cast<std::int32_t>(entry.integer("bank", -1));
  operation.row = entry.integer("row", -1);
  for (const auto& item : entry.list("banks")) operation.banks.push_back(item.as_integer());
  operation.reaches = reaches_of(entry);
  operation.most_vectors = entry.integer("vectors", 1);
  operation.waits = entry.boolean("waits", false);
  operation.all_channels = entry.boolean("all_channels", false);
  operation.one_channel = entry.boolean("one_channel", false);
  operation.row_base = entry.integer("row_base", -1);
  operation.row_register = static_cast<int>(entry.integer("row_register", -1));
  operation.most = entry.has("fills") ? most_in_buffer(entry, unit) : 0;
  if (!entry.has("request")) return operation;
  operation.request = spec.request(entry.text("request"));
  if (operation.request < 0) entry.child("request").fail("request '" + entry.text("request") + "' is unknown");
  const Command& command = spec.commands[static_cast<std::size_t>(spec.requests[static_cast<std::size_t>(operation.request)].command)];
  operation.closes = command.closing && !command.accessing;
  operation.opens = command.opening && !command.accessing;
  operation.span = command.span;
  if (!operation.all_channels && !operation.names(Field::mask) && !operation.names(Field::channel)) entry.fail("names no channels: a field 'mask' or 'channel', or all_channels is expected");
  return operation;
}

std::int64_t positive(const Params& node, const std::string& key, std::int64_t otherwise) {
  const std::int64_t value = node.integer(key, otherwise);
  if (value < 1 || value > kMostRegisters) node.child(key).fail(std::to_string(value) + " lies outside 1 to " + std::to_string(kMostRegisters));
  return value;
}

// Modes and microcode: which operations stand where, and what reaches the units.
void read_unit_rules(const Params& instructions, const std::optional<Params>& unit, InstructionSet& set) {
  const Params operations = instructions.child("operations");
  if (const auto modes = instructions.optional_child("modes")) {
    set.modes = read_mode_rules(*modes, operations.keys());
    if (modes->has("running")) set.running = set.modes->find(modes->child("running"), modes->text("running"));
  }
  if (unit && unit->has("microcode")) set.microcode = read_micro_rules(unit->child("microcode"));
  for (auto& operation : set.operations) {
    const Params entry = operations.child(operation.words);
    for (const auto& item : entry.list("modes")) {
      if (!set.modes) item.fail("this standard declares no modes");
      operation.modes.push_back(set.modes->find(item, item.as_text()));
    }
    if (operation.reaches != InstructionSet::Reaches::nothing && !set.microcode) entry.child("reaches_units_by").fail("the standard has no section 'unit.microcode'");
  }
}

}  // namespace

InstructionSet read_instruction_set(const Params& instructions, const std::optional<Params>& unit, const Spec& spec) {
  const std::string syntax = instructions.text("syntax");
  if (syntax != "fields") instructions.child("syntax").fail("this trace needs instructions of the syntax 'fields'");
  const Params operations = instructions.child("operations");
  InstructionSet set;
  set.optional_prefix = instructions.text("optional_prefix", "");
  set.end = instructions.text("end");
  if (!operations.has(set.end)) instructions.child("end").fail("operation '" + set.end + "' is unknown" + did_you_mean(set.end, operations.keys()));
  set.queue = positive(instructions, "queue", std::int64_t{1} << 21);
  set.general_registers = positive(instructions, "general_registers", kMostRegisters);
  for (const auto& item : instructions.list("registers")) set.registers.push_back(item.as_integer());
  set.mask_from_top = instructions.boolean("mask_from_top", false);
  set.checks_sizes = instructions.boolean("checks_sizes", true);
  set.channels = spec.counts[0];
  if (set.channels > 32) throw ConfigError("instructions of " + spec.standard + " name channels by masks of 32 bits; there are " + std::to_string(set.channels) + " channels");
  set.banks = spec.banks();
  set.bank_level = spec.bank_level;
  set.rows = spec.counts[static_cast<std::size_t>(spec.row_level)];
  set.columns = spec.counts[static_cast<std::size_t>(spec.column_level)] / spec.prefetch;
  set.bank_counts.assign(spec.counts.begin(), spec.counts.begin() + spec.bank_level + 1);
  set.cycle_names.assign(spec.requests.size(), "");
  set.cycle_names[0] = "R";
  set.cycle_names[1] = "W";
  std::optional<UnitSection> section;
  if (unit) section = read_unit_section(*unit, operations.keys(), spec);
  set.counts_columns = set.checks_sizes && section && section->counts_columns;
  for (const auto& words : operations.keys()) {
    set.operations.push_back(read_operation(operations.child(words), words, section, spec));
    const auto& operation = set.operations.back();
    if (operation.request > 1) set.cycle_names[static_cast<std::size_t>(operation.request)] = operation.statistic;
    if (operation.row_register >= static_cast<int>(set.registers.size())) operations.child(words).child("row_register").fail("there are only " + std::to_string(set.registers.size()) + " registers");
  }
  read_unit_rules(instructions, unit, set);
  if (const auto unread = instructions.unread(); !unread.empty()) {
    unread.front().fail("key '" + unread.front().key() + "' is unknown in instructions" + did_you_mean(unread.front().key(), unread.front().asked_beside()));
  }
  return set;
}

InstructionTrace read_instruction_trace(const std::string& path, const InstructionSet& set, char delimiter) {
  const LineReader reader(set, delimiter);
  InstructionTrace trace{path, {}, {}};
  ProgramCheck check(set);
  std::int32_t number = 0;
  for_each_trace_line(path, "an operation of two words and its fields, numbers decimal or 0x hexadecimal", [&](std::string_view line) -> std::string {
    ++number;
    if (line.starts_with('#')) return "";
    Instruction& instruction = trace.instructions.emplace_back();
    std::string_view text;
    if (const std::string wrong = reader.read(line, instruction, text); !wrong.empty()) return wrong;
    instruction.line = number;
    if (!text.empty()) {
      instruction.text = static_cast<std::int32_t>(trace.texts.size());
      trace.texts.emplace_back(text);
    }
    return check.take(instruction, trace.text_of(instruction));
  });
  if (trace.instructions.empty() || set.operations[static_cast<std::size_t>(trace.instructions.back().operation)].words != set.end) {
    throw TraceError(path + ": the trace does not end with '" + set.end + "'");
  }
  if (const std::string wrong = check.finish(); !wrong.empty()) throw TraceError(path + ":" + std::to_string(number) + ": " + wrong);
  return trace;
}

std::vector<int> InstructionTrace::stand_ins(int channels) const {
  ChannelClasses classes(channels);
  std::uint32_t last = 0;
  std::vector<std::int32_t> set;
  for (const Instruction& instruction : instructions) {
    if (instruction.mask == last) continue;
    last = instruction.mask;
    set.clear();
    for (std::uint32_t mask = last; mask != 0; mask &= mask - 1) set.push_back(std::countr_zero(mask));
    classes.split(set);
  }
  return classes.stand_ins();
}

}  // namespace moeram
