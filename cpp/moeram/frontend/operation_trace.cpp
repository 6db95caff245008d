#include "moeram/frontend/operation_trace.h"

#include <unordered_map>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {

constexpr std::int64_t kHighestAddress = std::int64_t{1} << 61;

// An operation, and the buffer whose entry its row and column name.
struct Operation {
  std::int32_t kind = -1;
  std::int64_t entries = 0;  // of that buffer; 0: none is named
  std::string buffer;
};

// How many operands of one buffer the parts of another take turns with.
std::int64_t parts_of(const UnitSection::Meaning& meaning, const Spec& spec) {
  std::int64_t parts = 1;
  for (const int level : meaning.by) parts *= spec.counts[static_cast<std::size_t>(level)];
  return parts;
}

void find_buffer(const UnitSection& unit, const std::string& name, const Spec& spec, Operation& out) {
  const auto found = unit.meanings.find(name);
  if (found == unit.meanings.end()) return;
  const UnitSection::Meaning& meaning = found->second;
  const bool moves = meaning.does == "buffer_to_buffer";
  if (!moves && meaning.does != "load" && meaning.does != "results_to_buffer") return;
  out.buffer = moves ? meaning.to : meaning.buffer;
  out.entries = unit.accesses.at(out.buffer);
  if (!moves || unit.accesses.at(meaning.buffer) / parts_of(meaning, spec) >= out.entries) return;
  out.buffer = meaning.buffer;
  out.entries = unit.accesses.at(meaning.buffer) / parts_of(meaning, spec);
}

class Reader {
 public:
  Reader(const Params& instructions, const std::optional<Params>& unit, const Spec& spec, const AddressMapper& mapper)
      : spec_(spec), mapper_(mapper), names_(instructions.child("operations").keys()), checks_(instructions.boolean("checks_sizes", true)) {
    const std::string syntax = instructions.text("syntax");
    if (syntax != "operation_address") instructions.child("syntax").fail("this trace needs instructions of the syntax 'operation_address'");
    const Params operations = instructions.child("operations");
    std::optional<UnitSection> section;
    if (unit) section = read_unit_section(*unit, names_, spec);
    for (const auto& name : names_) {
      Operation& operation = operations_[name];
      operation.kind = spec.request(operations.text(name));
      if (operation.kind < 0) operations.child(name).fail("request '" + operations.text(name) + "' is unknown");
      if (section) find_buffer(*section, name, spec, operation);
    }
    if (const auto unread = instructions.unread(); !unread.empty()) {
      unread.front().fail("key '" + unread.front().key() + "' is unknown in instructions" + did_you_mean(unread.front().key(), unread.front().asked_beside()));
    }
  }

  // What is wrong with a line, or nothing.
  std::string read(std::string_view line, std::int64_t& address, std::int32_t& kind) {
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return "no address";
    const std::string_view name = line.substr(0, space);
    if (last_ == nullptr || name != last_name_) {
      const auto found = operations_.find(std::string(name));
      if (found == operations_.end()) return "unknown operation" + did_you_mean(name, names_);
      last_name_ = found->first;
      last_ = &found->second;
    }
    const auto value = parse_address(line.substr(space + 1));
    if (!value) return "bad address";
    if (*value > kHighestAddress) return "address out of range";
    address = *value;
    kind = last_->kind;
    const Address place = mapper_.map(address);
    if (checks_) {
      if (std::string wrong = check(address, place); !wrong.empty()) return wrong;
    }
    if (place[0] < spec_.counts[0]) return "";
    return "address " + std::to_string(address) + " lies in channel " + std::to_string(place[0]) + ", but there are only " + std::to_string(spec_.counts[0]);
  }

 private:
  std::string check(std::int64_t address, const Address& place) const {
    const std::int64_t access = spec_.transaction_bytes();
    if (address % access != 0) return "address " + std::to_string(address) + " is not aligned to an access of " + std::to_string(access) + " bytes";
    if (address >= mapper_.end_address()) return "address " + std::to_string(address) + " lies beyond the memory, which ends at " + std::to_string(mapper_.end_address());
    if (last_->entries == 0) return "";
    const auto level = [](int number) { return static_cast<std::size_t>(number); };
    const std::int64_t entry = std::int64_t{place[level(spec_.row_level)]} * spec_.counts[level(spec_.column_level)] + place[level(spec_.column_level)];
    if (entry < last_->entries) return "";
    return "entry " + std::to_string(entry) + " (row and column of the address) overflows buffer " + last_->buffer + " of " + std::to_string(last_->entries) + " accesses";
  }

  const Spec& spec_;
  const AddressMapper& mapper_;
  std::vector<std::string> names_;
  bool checks_;
  std::unordered_map<std::string, Operation> operations_;
  std::string_view last_name_;  // consecutive lines often have the same
  const Operation* last_ = nullptr;
};

}  // namespace

OperationTrace::OperationTrace(const std::string& path, const Params& instructions, const std::optional<Params>& unit, const Spec& spec, const AddressMapper& mapper)
    : mapper_(mapper) {
  Reader reader(instructions, unit, spec, mapper);
  for_each_trace_line(path, "'OPERATION ADDRESS' with one space, the address decimal or 0x hexadecimal", [&](std::string_view line) {
    Entry entry{};
    std::string wrong = reader.read(line, entry.address, entry.kind);
    entries_.push_back(entry);
    return wrong;
  });
}

Request OperationTrace::next() const {
  Request request;
  request.kind = entries_[next_].kind;
  request.line = static_cast<std::int32_t>(next_) + 1;
  request.byte_address = entries_[next_].address;
  request.address = mapper_.map(request.byte_address);
  return request;
}

}  // namespace moeram
