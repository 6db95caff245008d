// Where a stream of blocks (what lies behind one row and column run) stands, and coordinates relative to it. Blocks are
// counted through the levels below the channel, the first level fastest, the row last, and start again after the last.
// Adding a number to this count renames banks and rows without changing which banks share a node of any level, so two
// states that look the same from where their streams stand behave alike.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "moeram/dram/spec.h"

namespace moeram {

class Frame {
 public:
  // Nodes of levels down to `fixed_level` keep their numbers (something treats them differently), those below are
  // counted from where the stream stands. With the bank level, only rows are relative.
  Frame(const Spec& spec, int fixed_level);

  // `byte_address`: what addresses of requests are counted from, where they have any.
  void stand_at(std::int64_t block, std::int64_t byte_address = 0);
  // Where the stream stands within the nodes that keep their numbers.
  std::int64_t fixed_part() const { return standing_ - origin_; }

  std::int64_t blocks() const { return blocks_; }
  // Any whole number stands for a block: they go round.
  void place(std::int64_t block, Address& address) const;
  std::int64_t row_of(std::int64_t block) const { return wrap(block) / banks_; }

  // The node that is the `label`-th of its level from the stream's point of view.
  int node(int level, int label) const { return node_at(level, origin_ + label); }
  // How many times the stream comes by a bank before it reaches this row.
  std::int64_t row_label(int bank, std::int64_t row) const;
  // From now on rows keep no numbers but places: in intervals of `length` rows from these on, laid end to end. For programs that only
  // ask whether rows are the same and of which latency class they are, and whose intervals do not meet.
  void name_rows(std::vector<std::int32_t> first_rows, std::int32_t length) {
    named_rows_ = std::move(first_rows);
    named_length_ = length;
  }
  std::int64_t byte_label(std::int64_t byte_address) const { return byte_address == -1 ? kNever : byte_address - byte_origin_; }
  // The block of an address without wildcards.
  std::int64_t block_of(const Address& address) const;
  // An address in relative coordinates; wildcards stay.
  void label(const Address& address, std::vector<std::int64_t>& out) const;

 private:
  int node_at(int level, std::int64_t count) const {
    const auto& nodes = node_of_count_[static_cast<std::size_t>(level)];
    return nodes[static_cast<std::size_t>(count % static_cast<std::int64_t>(nodes.size()))];
  }

  std::int64_t name_of(std::int64_t row) const;

  std::int64_t wrap(std::int64_t block) const { return (block % blocks_ + blocks_) % blocks_; }

  const Spec& spec_;
  std::int64_t banks_;
  std::int64_t blocks_;
  std::int64_t fixed_blocks_ = 1;
  std::int64_t standing_ = 0;
  std::int64_t origin_ = 0;
  std::int64_t byte_origin_ = 0;
  std::vector<std::vector<int>> node_of_count_;  // [level]
  std::vector<std::int64_t> count_of_bank_;
  std::vector<std::int32_t> named_rows_;  // empty: rows keep their numbers
  std::int32_t named_length_ = 0;
};

}  // namespace moeram
