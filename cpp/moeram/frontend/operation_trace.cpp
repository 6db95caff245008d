#include "moeram/frontend/operation_trace.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/frontend/channel_classes.h"
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
      : spec_(spec), mapper_(mapper), names_(instructions.child("operations").keys()), checks_(instructions.boolean("checks_sizes", true)), access_bytes_(spec.transaction_bytes()), end_(mapper.end_address()) {
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
  std::string read(std::string_view line, std::int64_t& address, std::int32_t& kind, Address& place) {
    if (last_ == nullptr || !line.starts_with(last_begin_)) {
      const auto space = line.find(' ');
      if (space == std::string_view::npos) return "no address";
      const std::string name(line.substr(0, space));
      const auto found = operations_.find(name);
      if (found == operations_.end()) return "unknown operation" + did_you_mean(name, names_);
      last_begin_ = name + ' ';
      last_ = &found->second;
    }
    const auto value = parse_address(line.substr(last_begin_.size()));
    if (!value) return "bad address";
    if (*value > kHighestAddress) return "address out of range";
    address = *value;
    kind = last_->kind;
    place = mapper_.map(address);
    if (checks_) {
      if (std::string wrong = check(address, place); !wrong.empty()) return wrong;
    }
    if (place[0] < spec_.counts[0]) return "";
    return "address " + std::to_string(address) + " lies in channel " + std::to_string(place[0]) + ", but there are only " + std::to_string(spec_.counts[0]);
  }

 private:
  std::string check(std::int64_t address, const Address& place) const {
    if (address % access_bytes_ != 0) return "address " + std::to_string(address) + " is not aligned to an access of " + std::to_string(access_bytes_) + " bytes";
    if (address >= end_) return "address " + std::to_string(address) + " lies beyond the memory, which ends at " + std::to_string(end_);
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
  std::int64_t access_bytes_, end_;
  std::unordered_map<std::string, Operation> operations_;
  std::string last_begin_;  // operation and space; consecutive lines often have the same
  const Operation* last_ = nullptr;
};

std::vector<int> everybody(std::size_t channels) {
  std::vector<int> all(channels);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

// Finds neighbours of a trace that are the same request to different channels.
class OperationTrace::Groups {
 public:
  explicit Groups(int channels) : offset_(static_cast<std::size_t>(channels)), known_(offset_.size(), false), member_of_(offset_.size(), 0) {}

  // Does a request begin a group of its own? Byte addresses count, since a read is held against those of waiting writes: a channel's lie at
  // one distance from those of the others.
  bool begins(int kind, std::int64_t byte_address, const Address& address) {
    const auto channel = static_cast<std::size_t>(address[0]);
    const bool same = number_ > 0 && kind == kind_ && member_of_[channel] != number_ && std::equal(address.begin() + 1, address.end(), address_.begin() + 1);
    if (same && !known_[channel]) offset_[channel] = byte_address - base_;
    if (!same || byte_address - offset_[channel] != base_) {
      ++number_;
      kind_ = kind;
      base_ = byte_address - offset_[channel];
      address_ = address;
      known_[channel] = true;
      member_of_[channel] = number_;
      return true;
    }
    known_[channel] = true;
    member_of_[channel] = number_;
    return false;
  }

 private:
  std::vector<std::int64_t> offset_;     // [channel] of its byte addresses
  std::vector<bool> known_;
  std::vector<std::int64_t> member_of_;  // [channel] the latest group that it is in
  std::int64_t number_ = 0;
  int kind_ = -1;
  std::int64_t base_ = 0;
  Address address_{};
};

OperationTrace::OperationTrace(const std::string& path, const Params& instructions, const std::optional<Params>& unit, const Spec& spec, const AddressMapper& mapper)
    : mapper_(mapper), stands_for_(static_cast<std::size_t>(spec.counts[0]), 1) {
  Reader reader(instructions, unit, spec, mapper);
  Groups groups(spec.counts[0]);
  for_each_trace_line(path, "'OPERATION ADDRESS' with one space, the address decimal or 0x hexadecimal", [&](std::string_view line) {
    std::int64_t address = 0;
    std::int32_t kind = -1;
    Address place{};
    std::string wrong = reader.read(line, address, kind, place);
    if (wrong.empty()) entries_.push_back({address, place[0], static_cast<std::int16_t>(kind), groups.begins(kind, address, place)});
    return wrong;
  });
  find_next();
}

// Requests are sent in order, so one that is refused holds up all behind it. Channels of a class take each request of theirs in the same
// cycle if they follow each other there with no other channel between: what the first is refused for, none of the others would take.
std::vector<int> OperationTrace::stand_ins() const {
  ChannelClasses classes(static_cast<int>(stands_for_.size()));
  const auto for_each_group = [&](const auto& visit) {
    std::vector<std::int32_t> group;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      group.push_back(entries_[i].channel);
      if (i + 1 < entries_.size() && !entries_[i + 1].begins) continue;
      visit(group);
      group.clear();
    }
  };
  for_each_group([&](const auto& group) { classes.split(group); });
  bool together = true;
  std::vector<std::int64_t> seen(static_cast<std::size_t>(classes.classes()), -1);
  std::int64_t number = 0;
  for_each_group([&](const auto& group) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      const int now = classes.class_of(group[i]);
      if (i > 0 && now == classes.class_of(group[i - 1])) continue;
      together = together && seen[static_cast<std::size_t>(now)] != number;
      seen[static_cast<std::size_t>(now)] = number;
    }
    ++number;
  });
  return together ? classes.stand_ins() : everybody(stands_for_.size());
}

void OperationTrace::send_only_to(const std::vector<int>& stand_ins) {
  std::fill(stands_for_.begin(), stands_for_.end(), 0);
  for (const int channel : stand_ins) ++stands_for_[static_cast<std::size_t>(channel)];
  find_next();
}

// Within a group only the channel differs.
void OperationTrace::find_next() {
  bool begins = false;
  for (; next_ < entries_.size(); ++next_) {
    begins = begins || entries_[next_].begins;
    if (channels() > 0) break;
  }
  if (finished()) return;
  if (begins) address_ = mapper_.map(entries_[next_].address);
  address_[0] = entries_[next_].channel;
}

Request OperationTrace::next() const {
  Request request;
  request.kind = entries_[next_].kind;
  request.line = static_cast<std::int32_t>(next_) + 1;
  request.byte_address = entries_[next_].address;
  request.address = address_;
  return request;
}

}  // namespace moeram
