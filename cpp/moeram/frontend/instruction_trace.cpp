#include "moeram/frontend/instruction_trace.h"

#include <algorithm>
#include <unordered_map>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/frontend/program_check.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {

using Field = InstructionSet::Field;

const std::vector<std::pair<std::string, Field>>& field_names() {
  static const std::vector<std::pair<std::string, Field>> names = {{"gpr", Field::ignored}, {"opsize", Field::opsize}, {"mask", Field::mask},
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
std::int64_t most_in_buffer(const Params& entry, const std::optional<Params>& unit) {
  const std::string name = entry.text("fills");
  if (!unit) entry.child("fills").fail("the standard has no section 'unit' with buffers");
  const Params buffers = unit->child("buffers");
  if (!buffers.has(name)) entry.child("fills").fail("buffer '" + name + "' is unknown" + did_you_mean(name, buffers.keys()));
  return buffers.integer(name) / unit->integer("access_bytes");
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

InstructionSet::Operation read_operation(const Params& entry, const std::string& words, const std::optional<Params>& unit, const Spec& spec) {
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
  const auto has = [&](Field field) { return std::find(operation.fields.begin(), operation.fields.end(), field) != operation.fields.end(); };
  if (!operation.all_channels && !has(Field::mask) && !has(Field::channel)) entry.fail("names no channels: a field 'mask' or 'channel', or all_channels is expected");
  return operation;
}

class LineReader {
 public:
  LineReader(const InstructionSet& set, char delimiter) : set_(set), delimiter_(delimiter) {
    for (std::size_t i = 0; i < set.operations.size(); ++i) {
      names_[set.operations[i].words] = static_cast<int>(i);
      words_.push_back(set.operations[i].words);
    }
  }

  // What is wrong, or nothing. `rest`: the instruction's text, if it has one.
  std::string read(std::string_view line, Instruction& out, std::string_view& rest) const {
    const auto parts = split(line, delimiter_);
    if (parts.size() < 2) return "no operation of two words";
    std::string_view second = parts[1];
    if (!set_.optional_prefix.empty() && second.starts_with(set_.optional_prefix)) second.remove_prefix(set_.optional_prefix.size());
    const std::string words = std::string(parts[0]) + " " + std::string(second);
    const auto found = names_.find(words);
    if (found == names_.end()) return "unknown operation" + did_you_mean(words, words_);
    const auto& operation = set_.operations[static_cast<std::size_t>(found->second)];
    const bool has_text = !operation.fields.empty() && operation.fields.back() == Field::text;
    if (has_text ? parts.size() - 2 < operation.fields.size() : parts.size() - 2 != operation.fields.size()) {
      return words + " has " + std::to_string(operation.fields.size()) + " fields, found " + std::to_string(parts.size() - 2);
    }
    out = Instruction{};
    out.operation = found->second;
    out.bank = operation.bank;
    out.row = operation.row;
    out.column = operation.column;
    if (operation.all_channels) out.mask = all_channels();
    for (std::size_t i = 0; i < operation.fields.size(); ++i) {
      std::string_view text = parts[i + 2];
      if (operation.fields[i] == Field::text) {
        rest = line.substr(static_cast<std::size_t>(text.data() - line.data()));
        break;
      }
      const auto value = text.starts_with("0x") || text.starts_with("0X") ? parse_integer(text) : parse_decimal(text);
      if (!value) return "'" + std::string(text.substr(0, 32)) + "' is no number";
      if (const std::string wrong = take(operation, operation.fields[i], *value, out); !wrong.empty()) return wrong;
    }
    return check_columns(operation, out);
  }

 private:
  std::uint32_t all_channels() const { return set_.channels == 32 ? ~0U : (1U << set_.channels) - 1; }

  std::string take(const InstructionSet::Operation& operation, Field field, std::int64_t value, Instruction& out) const {
    const auto outside = [&](const char* what, std::int64_t end) { return std::string(what) + " " + std::to_string(value) + " lies outside 0 to " + std::to_string(end - 1); };
    switch (field) {
      case Field::ignored: return "";
      case Field::mask: return take_mask(operation, value, out);
      case Field::channel:
        if (value >= set_.channels) return outside("channel", set_.channels);
        out.mask = 1U << value;
        return "";
      case Field::bank:
        if (value >= set_.banks) return outside("bank", set_.banks);
        if (!operation.banks.empty() && std::find(operation.banks.begin(), operation.banks.end(), value) == operation.banks.end()) {
          return operation.words + " does not go to bank " + std::to_string(value) + ", only to " + std::to_string(operation.banks.front()) + " to " + std::to_string(operation.banks.back());
        }
        out.bank = static_cast<std::int32_t>(value);
        return "";
      case Field::row:
        if (value >= (set_.checks_sizes ? set_.rows : std::int64_t{1} << 31)) return outside("row", set_.checks_sizes ? set_.rows : std::int64_t{1} << 31);
        out.row = value;
        return "";
      case Field::column:
        if (value >= set_.columns) return outside("column", set_.columns);
        out.column = static_cast<std::int32_t>(value);
        return "";
      case Field::text: return "";
      case Field::vectors:
        if (value >= 1 && value <= operation.most_vectors) return "";
        return operation.words + " takes 1 to " + std::to_string(operation.most_vectors) + " vectors at once, not " + std::to_string(value);
      case Field::entry: out.data = value; return "";
      case Field::opsize:
        if (value < 1 || value > (1 << 24)) return outside("opsize", (1 << 24) + 1);
        if (set_.checks_sizes && operation.most > 0 && value > operation.most) {
          return "opsize " + std::to_string(value) + " overflows a buffer of " + std::to_string(operation.most) + " accesses";
        }
        out.opsize = static_cast<std::int32_t>(value);
        return "";
      case Field::register_number:
        if (value >= static_cast<std::int64_t>(set_.registers.size())) return outside("register", static_cast<std::int64_t>(set_.registers.size()));
        out.register_number = value;
        return "";
      case Field::data: out.data = value; return "";
    }
    return "";
  }

  // Columns that a line names lie in one row, entries in their buffer.
  std::string check_columns(const InstructionSet::Operation& operation, const Instruction& out) const {
    const auto names = [&](Field field) { return std::find(operation.fields.begin(), operation.fields.end(), field) != operation.fields.end(); };
    if (names(Field::entry) && operation.most > 0 && out.data + out.opsize > operation.most) {
      return std::to_string(out.opsize) + " accesses from entry " + std::to_string(out.data) + " on overflow a buffer of " + std::to_string(operation.most) + " accesses";
    }
    if (!names(Field::column) || out.column + out.opsize <= set_.columns) return "";
    return std::to_string(out.opsize) + " columns from " + std::to_string(out.column) + " on leave the row, which has " + std::to_string(set_.columns);
  }

  std::string take_mask(const InstructionSet::Operation& operation, std::int64_t value, Instruction& out) const {
    if (value == 0) return "mask 0 names no channel";
    if (value > static_cast<std::int64_t>(all_channels())) return "mask " + std::to_string(value) + " has bits beyond the " + std::to_string(set_.channels) + " channels";
    for (int bit = 0; bit < set_.channels; ++bit) {
      if ((value >> bit & 1) != 0) out.mask |= 1U << (set_.mask_from_top ? set_.channels - 1 - bit : bit);
    }
    if (operation.one_channel && (value & (value - 1)) != 0) return "a mask of one channel is expected";
    return "";
  }

  const InstructionSet& set_;
  char delimiter_;
  std::unordered_map<std::string, int> names_;
  std::vector<std::string> words_;
};

}  // namespace

namespace {

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
  InstructionSet set;
  set.optional_prefix = instructions.text("optional_prefix", "");
  set.end = instructions.text("end");
  set.queue = instructions.integer("queue", std::int64_t{1} << 21);
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
  const Params operations = instructions.child("operations");
  for (const auto& words : operations.keys()) {
    set.operations.push_back(read_operation(operations.child(words), words, unit, spec));
    const auto& operation = set.operations.back();
    if (operation.request > 1) set.cycle_names[static_cast<std::size_t>(operation.request)] = operation.statistic;
    if (operation.row_register >= static_cast<int>(set.registers.size())) operations.child(words).child("row_register").fail("there are only " + std::to_string(set.registers.size()) + " registers");
  }
  read_unit_rules(instructions, unit, set);
  if (const auto unread = instructions.unread(); !unread.empty()) unread.front().fail("key '" + unread.front().key() + "' is unknown in instructions");
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

}  // namespace moeram
