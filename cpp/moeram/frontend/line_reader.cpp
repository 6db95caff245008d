#include "moeram/frontend/line_reader.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "moeram/base/text.h"
#include "moeram/controller/request.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {

constexpr std::int64_t kMostRequests = std::int64_t{1} << 24;
constexpr std::int64_t kRowsOfAnAddress = std::int64_t{1} << 31;

std::string outside(const char* what, std::int64_t value, std::int64_t first, std::int64_t last) {
  return std::string(what) + " " + std::to_string(value) + " lies outside " + std::to_string(first) + " to " + std::to_string(last);
}

// Why a word that parse_address does not take is wrong.
std::string no_number(std::string_view word) {
  const bool hexadecimal = word.starts_with("0x") || word.starts_with("0X");
  const std::string_view digits = hexadecimal ? word.substr(2) : word;
  const bool is_number = !digits.empty() && digits.find_first_not_of(hexadecimal ? "0123456789abcdefABCDEF" : "0123456789") == std::string_view::npos;
  return "'" + std::string(word.substr(0, 32)) + (is_number ? "' is too large a number" : "' is no number");
}

}  // namespace

LineReader::LineReader(const InstructionSet& set, char delimiter) : set_(set), delimiter_(delimiter) {
  for (std::size_t i = 0; i < set.operations.size(); ++i) {
    names_[set.operations[i].words] = static_cast<int>(i);
    words_.push_back(set.operations[i].words);
  }
}

std::string LineReader::read(std::string_view line, Instruction& out, std::string_view& rest) const {
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
  std::int64_t last_general = -1;  // the highest of those that the line names
  for (std::size_t i = 0; i < operation.fields.size(); ++i) {
    std::string_view text = parts[i + 2];
    if (operation.fields[i] == Field::text) {
      rest = line.substr(static_cast<std::size_t>(text.data() - line.data()));
      break;
    }
    const auto value = parse_address(text);
    if (!value) return no_number(text);
    if (operation.fields[i] == Field::general) last_general = std::max(last_general, *value);
    if (std::string wrong = take(operation, operation.fields[i], *value, out); !wrong.empty()) return wrong;
  }
  if (set_.checks_sizes && last_general >= 0) {
    if (std::string wrong = check_general(operation, out, last_general); !wrong.empty()) return wrong;
  }
  return check_whole(operation, out);
}

std::string LineReader::take(const Operation& operation, Field field, std::int64_t value, Instruction& out) const {
  switch (field) {
    case Field::general:
    case Field::text: return "";
    case Field::mask: return take_mask(operation, value, out);
    case Field::bank: return take_bank(operation, value, out);
    case Field::opsize: return take_opsize(operation, value, out);
    case Field::channel:
      if (value >= set_.channels) return outside("channel", value, 0, set_.channels - 1);
      out.mask = 1U << value;
      return "";
    case Field::row: {
      const std::int64_t rows = set_.checks_sizes ? set_.rows : kRowsOfAnAddress;
      if (value >= rows) return outside("row", value, 0, rows - 1);
      out.row = value;
      return "";
    }
    case Field::column:
      if (value >= set_.columns) return outside("column", value, 0, set_.columns - 1);
      out.column = static_cast<std::int32_t>(value);
      return "";
    case Field::vectors:
      if (value >= 1 && value <= operation.most_vectors) return "";
      return operation.words + " takes 1 to " + std::to_string(operation.most_vectors) + " vectors at once, not " + std::to_string(value);
    case Field::register_number:
      if (value >= static_cast<std::int64_t>(set_.registers.size())) return outside("register", value, 0, static_cast<std::int64_t>(set_.registers.size()) - 1);
      out.register_number = value;
      return "";
    case Field::entry:
    case Field::data: out.data = value; return "";
  }
  return "";
}

std::string LineReader::take_bank(const Operation& operation, std::int64_t value, Instruction& out) const {
  if (value >= set_.banks) return outside("bank", value, 0, set_.banks - 1);
  if (!operation.banks.empty() && std::find(operation.banks.begin(), operation.banks.end(), value) == operation.banks.end()) {
    return operation.words + " does not go to bank " + std::to_string(value) + ", only to " + std::to_string(operation.banks.front()) + " to " + std::to_string(operation.banks.back());
  }
  out.bank = static_cast<std::int32_t>(value);
  std::int64_t first = 0, rest = value, weight = 1;  // the bank whose digits at the levels in lock step are 0
  for (int level = set_.bank_level; level > 0; --level) {
    const std::int64_t count = set_.bank_counts[static_cast<std::size_t>(level)];
    if ((operation.span >> level & 1U) == 0) first += rest % count * weight;
    rest /= count;
    weight *= count;
  }
  if (!set_.checks_sizes || first == value) return "";
  return "bank " + std::to_string(value) + " is not the first of those that " + operation.words + " reaches together, which is " + std::to_string(first);
}

std::string LineReader::take_mask(const Operation& operation, std::int64_t value, Instruction& out) const {
  if (value == 0) return "mask 0 names no channel";
  if (value > static_cast<std::int64_t>(all_channels())) return "mask " + std::to_string(value) + " has bits beyond the " + std::to_string(set_.channels) + " channels";
  for (int bit = 0; bit < set_.channels; ++bit) {
    if ((value >> bit & 1) != 0) out.mask |= 1U << (set_.mask_from_top ? set_.channels - 1 - bit : bit);
  }
  if (operation.one_channel && (value & (value - 1)) != 0) return "a mask of one channel is expected";
  return "";
}

std::string LineReader::take_opsize(const Operation& operation, std::int64_t value, Instruction& out) const {
  if (value < 1 || value > kMostRequests) return outside("opsize", value, 1, kMostRequests);
  if (set_.checks_sizes && operation.most > 0 && value > operation.most) {
    return "opsize " + std::to_string(value) + " overflows a buffer of " + std::to_string(operation.most) + " accesses";
  }
  out.opsize = static_cast<std::int32_t>(value);
  return "";
}

// Columns of a row and entries of a buffer, from the first to the last; a row that a register adds to.
std::string LineReader::check_whole(const Operation& operation, const Instruction& out) const {
  if (operation.names(Field::entry) && operation.most > 0 && (out.data >= operation.most || out.data + out.opsize > operation.most)) {
    return std::to_string(out.opsize) + " accesses from entry " + std::to_string(out.data) + " on overflow a buffer of " + std::to_string(operation.most) + " accesses";
  }
  if (out.register_number >= 0) {
    for (const auto& other : set_.operations) {
      const std::int64_t most = kRowsOfAnAddress - other.row_base - 1;
      if (other.row_register == out.register_number && out.data > most) return outside("data", out.data, 0, most);
    }
  }
  const bool from_the_first = set_.checks_sizes && !set_.counts_columns && operation.names(Field::row) && out.column == 0;
  if ((!operation.names(Field::column) && !from_the_first) || out.column + out.opsize <= set_.columns) return "";
  return std::to_string(out.opsize) + " columns from " + std::to_string(out.column) + " on leave the row, which has " + std::to_string(set_.columns);
}

// An access goes through one general register each: those that are sent, or what each channel answers.
std::string LineReader::check_general(const Operation& operation, const Instruction& out, std::int64_t first) const {
  const std::int64_t answers = operation.waits || operation.request == kRead ? std::popcount(out.mask) : 1;
  const std::int64_t count = answers * out.opsize;
  if (first < set_.general_registers && first + count <= set_.general_registers) return "";
  if (count == 1) return outside("general register", first, 0, set_.general_registers - 1);
  return std::to_string(count) + " general registers from " + std::to_string(first) + " on lie outside 0 to " + std::to_string(set_.general_registers - 1);
}

}  // namespace moeram
