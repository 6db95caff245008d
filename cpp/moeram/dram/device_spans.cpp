// Commands to banks in lock step: a span names the levels whose nodes all take part, whatever the address says there.
#include <algorithm>

#include "moeram/dram/device.h"

namespace moeram {
namespace {

bool spans(std::uint32_t span, int level) { return (span >> level & 1U) != 0; }

// Flat banks of a span from its first, in the order of the levels.
std::vector<int> offsets_of(const Spec& spec, std::uint32_t span) {
  std::vector<int> offsets{0};
  for (int level = 1; level <= spec.bank_level; ++level) {
    const int below = spec.banks() / spec.nodes_at(level);
    if (!spans(span, level)) continue;
    std::vector<int> wider;
    for (const int offset : offsets) {
      for (int node = 0; node < spec.counts[static_cast<std::size_t>(level)]; ++node) wider.push_back(offset + node * below);
    }
    offsets.swap(wider);
  }
  return offsets;
}

}  // namespace

void Device::find_spans() {
  for (const auto& command : spec_.commands) {
    span_offsets_.push_back(offsets_of(spec_, command.span));
    opens_span_.push_back(command.span != 0 && command.opening && !command.accessing);
    repeat_offsets_.push_back(command.repeat_span != 0 ? offsets_of(spec_, command.repeat_span) : std::vector<int>{});
  }
  if (spec_.rows_accumulate) other_rows_.resize(banks_.size());
}

int Device::span_base(std::uint32_t span, const Address& address) const {
  int bank = 0;
  for (int level = 1; level <= spec_.bank_level; ++level) {
    const auto l = static_cast<std::size_t>(level);
    bank = bank * spec_.counts[l] + (spans(span, level) ? 0 : address[l]);
  }
  return bank;
}

bool Device::holds_row(int bank, std::int32_t row) const {
  const auto b = static_cast<std::size_t>(bank);
  if (banks_[b].row == row) return true;
  return !other_rows_.empty() && std::find(other_rows_[b].begin(), other_rows_[b].end(), row) != other_rows_[b].end();
}

// Before the bank's own row changes.
void Device::remember_rows(int bank, Action action, std::int32_t row) {
  const auto b = static_cast<std::size_t>(bank);
  auto& others = other_rows_[b];
  const bool opens = action == Action::open_row || action == Action::open_row_in_all_banks || action == Action::open_row_in_span;
  if (!opens) {
    others.clear();
  } else if (banks_[b].state == BankState::opened && !holds_row(bank, row)) {
    others.push_back(banks_[b].row);
  } else if (banks_[b].state == BankState::opened) {
    std::replace(others.begin(), others.end(), row, banks_[b].row);
  }
}

int Device::span_prerequisite(int command, Prerequisite rule, const Address& address) const {
  const auto c = static_cast<std::size_t>(command);
  const Command& facts = spec_.commands[c];
  const std::int32_t row = address[static_cast<std::size_t>(spec_.row_level)];
  const int base = span_base(facts.span, address);
  const auto& offsets = span_offsets_[c];
  std::size_t closed = 0, right = 0;
  for (const int offset : offsets) {
    const bool open = banks_[static_cast<std::size_t>(base + offset)].state == BankState::opened;
    const bool wanted = open && holds_row(base + offset, row);
    if (rule == Prerequisite::row_open_in_span_first && !wanted) return open ? facts.closes_with : facts.opens_with;
    closed += !open;
    right += wanted;
  }
  if (right == offsets.size()) return command;
  const bool may_open = rule == Prerequisite::row_open_in_span_lazy ? closed + right == offsets.size() : closed == offsets.size();
  return may_open ? facts.opens_with : facts.closes_with;
}

bool Device::has_opened(int command, const Address& address) const {
  if (!opens_span_[static_cast<std::size_t>(command)]) return false;
  const auto& offsets = span_offsets_[static_cast<std::size_t>(command)];
  const int base = span_base(spec_.commands[static_cast<std::size_t>(command)].span, address);
  const std::int32_t row = address[static_cast<std::size_t>(spec_.row_level)];
  return std::all_of(offsets.begin(), offsets.end(), [&](int offset) {
    return banks_[static_cast<std::size_t>(base + offset)].state == BankState::opened && holds_row(base + offset, row);
  });
}

void Device::apply_to_span(int command, Action action, const Address& address) {
  const std::int32_t row = address[static_cast<std::size_t>(spec_.row_level)];
  const bool opens = action == Action::open_row_in_span;
  const auto latency_class = opens ? static_cast<std::uint8_t>(class_of_row(row)) : std::uint8_t{0};
  const int base = span_base(spec_.commands[static_cast<std::size_t>(command)].span, address);
  for (const int offset : span_offsets_[static_cast<std::size_t>(command)]) {
    const auto b = static_cast<std::size_t>(base + offset);
    if (spec_.rows_accumulate && (opens ? banks_[b].state == BankState::opened : !other_rows_[b].empty())) remember_rows(base + offset, action, row);
    banks_[b] = opens ? Bank{BankState::opened, latency_class, row} : Bank{};
  }
}

void Device::repeat_bank_rows(int command, const Address& address, int bank, Cycle now) {
  const Command& facts = spec_.commands[static_cast<std::size_t>(command)];
  Address first = address;
  if (facts.repeat_shifted) {
    for (int level = 2; level < spec_.bank_level; ++level) {
      const auto l = static_cast<std::size_t>(level);
      first[l] = address[l - 1];
      if (first[l] >= spec_.counts[l]) return;
    }
  }
  const int base = span_base(facts.repeat_span, first);
  for (const int offset : repeat_offsets_[static_cast<std::size_t>(command)]) {
    if (base + offset != bank) timing_.issue_bank_rows(command, base + offset, now);
  }
}

}  // namespace moeram
