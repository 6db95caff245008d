#include "moeram/dram/frame.h"

namespace moeram {

Frame::Frame(const Spec& spec, int fixed_level) : spec_(spec), banks_(spec.banks()), blocks_(banks_ * spec.counts[static_cast<std::size_t>(spec.row_level)]), node_of_count_(static_cast<std::size_t>(spec.bank_level) + 1) {
  for (int level = 1; level <= fixed_level; ++level) fixed_blocks_ *= spec.counts[static_cast<std::size_t>(level)];
  for (int level = 0; level <= spec.bank_level; ++level) {
    auto& nodes = node_of_count_[static_cast<std::size_t>(level)];
    nodes.assign(static_cast<std::size_t>(spec.nodes_at(level)), 0);
    for (std::size_t count = 0; count < nodes.size(); ++count) {
      std::size_t rest = count;
      for (int l = 1; l <= level; ++l) {
        const auto width = static_cast<std::size_t>(spec.counts[static_cast<std::size_t>(l)]);
        nodes[count] = nodes[count] * static_cast<int>(width) + static_cast<int>(rest % width);
        rest /= width;
      }
    }
  }
  const auto& banks = node_of_count_.back();
  count_of_bank_.assign(banks.size(), 0);
  for (std::size_t count = 0; count < banks.size(); ++count) count_of_bank_[static_cast<std::size_t>(banks[count])] = static_cast<std::int64_t>(count);
}

void Frame::stand_at(std::int64_t block, std::int64_t byte_address) {
  byte_origin_ = byte_address;
  standing_ = wrap(block);
  origin_ = standing_ / fixed_blocks_ * fixed_blocks_;
}

void Frame::place(std::int64_t block, Address& address) const {
  block = wrap(block);
  for (int level = 1; level <= spec_.bank_level; ++level) {
    const int width = spec_.counts[static_cast<std::size_t>(level)];
    address[static_cast<std::size_t>(level)] = static_cast<std::int32_t>(block % width);
    block /= width;
  }
  address[static_cast<std::size_t>(spec_.row_level)] = static_cast<std::int32_t>(block);
}

// Rows outside the intervals keep numbers that no place has.
std::int64_t Frame::name_of(std::int64_t row) const {
  for (std::size_t i = 0; i < named_rows_.size(); ++i) {
    const std::int64_t place = row - named_rows_[i];
    if (place >= 0 && place < named_length_) return static_cast<std::int64_t>(i) * named_length_ + place;
  }
  return -2 - row;
}

std::int64_t Frame::block_of(const Address& address) const {
  std::int64_t block = address[static_cast<std::size_t>(spec_.row_level)];
  for (int level = spec_.bank_level; level >= 1; --level) {
    const auto l = static_cast<std::size_t>(level);
    block = block * spec_.counts[l] + address[l];
  }
  return block;
}

std::int64_t Frame::row_label(int bank, std::int64_t row) const {
  if (!named_rows_.empty()) return name_of(row);
  return wrap(row * banks_ + count_of_bank_[static_cast<std::size_t>(bank)] - origin_) / banks_;
}

void Frame::label(const Address& address, std::vector<std::int64_t>& out) const {
  // Down to the first wildcard the address names one node.
  std::int64_t count = 0;
  std::int64_t nodes = 1;
  int level = 1;
  for (; level <= spec_.bank_level && address[static_cast<std::size_t>(level)] >= 0; ++level) {
    count += address[static_cast<std::size_t>(level)] * nodes;
    nodes *= spec_.counts[static_cast<std::size_t>(level)];
  }
  const std::int64_t label = ((count - origin_) % nodes + nodes) % nodes;
  out.insert(out.end(), {level, label});
  if (level <= spec_.bank_level) {
    for (; level < static_cast<int>(spec_.levels.size()); ++level) {
      const std::int32_t number = address[static_cast<std::size_t>(level)];
      out.push_back(level == spec_.row_level && number >= 0 && !named_rows_.empty() ? name_of(number) : number);
    }
    return;
  }
  const std::int32_t row = address[static_cast<std::size_t>(spec_.row_level)];
  out.push_back(row < 0 ? -1 : wrap(row * banks_ + count - origin_) / banks_);
  out.push_back(address[static_cast<std::size_t>(spec_.column_level)]);
}

}  // namespace moeram
