#include "moeram/frontend/instruction_trace.h"

#include <algorithm>
#include <unordered_map>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {

using Field = InstructionSet::Field;

const std::vector<std::pair<std::string, Field>>& field_names() {
  static const std::vector<std::pair<std::string, Field>> names = {{"gpr", Field::ignored}, {"opsize", Field::opsize}, {"mask", Field::mask},
                                                                   {"channel", Field::channel}, {"bank", Field::bank}, {"row", Field::row},
                                                                   {"register", Field::register_number}, {"data", Field::data}};
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

InstructionSet::Operation read_operation(const Params& entry, const std::string& words, const std::optional<Params>& unit, const Spec& spec) {
  InstructionSet::Operation operation;
  operation.words = words;
  operation.statistic = entry.text("statistic");
  for (const auto& item : entry.list("fields")) operation.fields.push_back(field_of(item));
  operation.column = static_cast<std::int32_t>(entry.integer("column", 0));
  operation.waits = entry.boolean("waits", false);
  operation.all_channels = entry.boolean("all_channels", false);
  operation.one_channel = entry.boolean("one_channel", false);
  operation.row_base = entry.integer("row_base", -1);
  operation.row_register = static_cast<int>(entry.integer("row_register", -1));
  operation.most = entry.has("fills") ? most_in_buffer(entry, unit) : 0;
  if (!entry.has("request")) return operation;
  operation.request = spec.request(entry.text("request"));
  if (operation.request < 0) entry.child("request").fail("request '" + entry.text("request") + "' is unknown");
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

  // What is wrong, or nothing.
  std::string read(std::string_view line, Instruction& out) const {
    const auto parts = split(line, delimiter_);
    if (parts.size() < 2) return "no operation of two words";
    std::string_view second = parts[1];
    if (!set_.optional_prefix.empty() && second.starts_with(set_.optional_prefix)) second.remove_prefix(set_.optional_prefix.size());
    const std::string words = std::string(parts[0]) + " " + std::string(second);
    const auto found = names_.find(words);
    if (found == names_.end()) return "unknown operation" + did_you_mean(words, words_);
    const auto& operation = set_.operations[static_cast<std::size_t>(found->second)];
    if (parts.size() - 2 != operation.fields.size()) {
      return words + " has " + std::to_string(operation.fields.size()) + " fields, found " + std::to_string(parts.size() - 2);
    }
    out = Instruction{};
    out.operation = found->second;
    if (operation.all_channels) out.mask = all_channels();
    for (std::size_t i = 0; i < operation.fields.size(); ++i) {
      const std::string_view text = parts[i + 2];
      const auto value = text.starts_with("0x") || text.starts_with("0X") ? parse_integer(text) : parse_decimal(text);
      if (!value) return "'" + std::string(text.substr(0, 32)) + "' is no number";
      if (const std::string wrong = take(operation, operation.fields[i], *value, out); !wrong.empty()) return wrong;
    }
    return "";
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
        out.bank = static_cast<std::int32_t>(value);
        return "";
      case Field::row:
        if (value >= (set_.checks_sizes ? set_.rows : std::int64_t{1} << 31)) return outside("row", set_.checks_sizes ? set_.rows : std::int64_t{1} << 31);
        out.row = value;
        return "";
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
  if (const auto unread = instructions.unread(); !unread.empty()) unread.front().fail("key '" + unread.front().key() + "' is unknown in instructions");
  return set;
}

std::vector<Instruction> read_instruction_trace(const std::string& path, const InstructionSet& set, char delimiter) {
  const LineReader reader(set, delimiter);
  std::vector<Instruction> trace;
  for_each_trace_line(path, "an operation of two words and its fields, numbers decimal or 0x hexadecimal", [&](std::string_view line) -> std::string {
    if (line.starts_with('#')) return "";
    return reader.read(line, trace.emplace_back());
  });
  if (trace.empty() || set.operations[static_cast<std::size_t>(trace.back().operation)].words != set.end) {
    throw TraceError(path + ": the trace does not end with '" + set.end + "'");
  }
  return trace;
}

}  // namespace moeram
