// From which cycle on may each command go at each node of a channel, and what does an issued command let wait?
// Flat arrays indexed by (node, entry); nothing here allocates after construction. Commands that are always held back
// alike at the nodes of a level share an entry there, and a level with as many nodes as the one above it is part of that.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "moeram/dram/frame.h"
#include "moeram/dram/spec.h"

namespace moeram {

class Timing {
 public:
  explicit Timing(const Spec& spec);

  // `bank` is the flat index of the addressed bank, -1 with wildcards.
  void issue(int command, const Address& address, int bank, Cycle now, int latency_class) {
    if (bank >= 0) {
      issue_in_bank(command, bank, now, latency_class);
    } else {
      issue_below(command, address, now, latency_class);
    }
  }

  void issue_in_bank(int command, int bank, Cycle now, int latency_class);

  // Only the rows of the level of banks, in a bank that the command reached beside the addressed one.
  void issue_bank_rows(int command, int bank, Cycle now) {
    for (const Block& block : blocks_[static_cast<std::size_t>(command)]) {
      if (block.level == levels_ - 1) touch(block, bank, now, rows_[0].data());
    }
  }

  // Earliest cycle for a command to one bank; only levels down to its scope count, as in Ramulator 2.0.
  Cycle ready_in_bank(int command, int bank) const {
    const Asked& asked = asked_[static_cast<std::size_t>(command)];
    return latest_of(asked, 0, asked.size, bank);
  }
  // The part of it that the channel and the node below it have in common for all their banks: never later.
  Cycle ready_in_group(int command, int group) const {
    const Asked& asked = asked_[static_cast<std::size_t>(command)];
    return std::max(earliest_[static_cast<std::size_t>(asked.channel)], earliest_[static_cast<std::size_t>(asked.group + group * asked.group_width)]);
  }
  // The other part of it.
  Cycle ready_below_group(int command, int bank) const {
    const Asked& asked = asked_[static_cast<std::size_t>(command)];
    return latest_of(asked, asked.of_group, asked.size, bank);
  }
  // The same for an address with wildcards: the latest of all nodes that it names.
  Cycle ready_below(int command, const Address& address) const { return ready_below(0, 0, command, address); }

  // The earliest cycle that issuing `command` now would leave to `following`; 0 if it does not hold it back.
  Cycle earliest_after(int command, const Address& issued, int following, const Address& held, Cycle now) const;

  // Relative to `now`, nodes in the order of the frame.
  void canonical(Cycle now, const Frame& frame, std::vector<std::int64_t>& out) const;

 private:
  // An entry of the node rises to the issue plus the latency. Kept once per latency class.
  struct Row {
    std::int32_t entry;
    std::int32_t latency;
  };
  // The same with its level, for the rows of all levels that count from the issue itself.
  struct Step {
    std::int32_t level;
    std::int32_t entry;
    std::int32_t latency;
  };
  struct Steps {
    int begin = 0, end = 0;
    bool all = true;  // there are no other rows
  };
  // A row of the standard with the command that starts it.
  struct Source {
    int preceding;
    const TimingRow* row;
  };
  // Rows that one command brings to the nodes of one level: [begin, end) count from the issue itself,
  // [end, windows_end) from an earlier one, [windows_end, siblings_end) act beside the node.
  struct Block {
    int level = 0;
    int begin = 0, end = 0, windows_end = 0, siblings_end = 0;
    int history = -1;  // first entry in history_, -1 if no row asks for earlier issues
    int window = 0;    // issues remembered per node
    Cycle reach = 0;   // an issue this old concerns no row any more
  };
  // The entries that hold a command back, from the channel down.
  struct Asked {
    struct At {
      std::int32_t level;
      std::int32_t entry;
    };
    std::int32_t channel = 0;                     // where the channel's lies, 0: nowhere
    std::int32_t group = 0, group_width = 0;      // the same for the first node of level 1, and from one node to the next
    std::int32_t size = 0;
    std::int32_t of_group = 0;  // the first ones, of the channel and of level 1
    At at[kMaxLevels] = {};
  };

  Cycle latest_of(const Asked& asked, int begin, int end, int bank) const {
    const std::int32_t* nodes = &bank_nodes_[static_cast<std::size_t>(bank * levels_)];
    Cycle latest = 0;
    for (int i = begin; i < end; ++i) latest = std::max(latest, earliest_[static_cast<std::size_t>(nodes[asked.at[i].level] + asked.at[i].entry)]);
    return latest;
  }
  void merge_levels();
  void share_entries(int level);
  std::vector<Source> sources_of(int level, int following) const;
  void place_nodes();
  void find_group_entries();
  void add_block(int level, int command);
  void add_steps(int command);
  void touch_others(int command, int bank, Cycle now, const Row* rows);
  void add_rows(const std::vector<const TimingRow*>& rows, int level);
  bool is_alive(const TimingRow& row, int level) const;
  int entry_of(int level, int command) const { return entries_[static_cast<std::size_t>(level)][static_cast<std::size_t>(command)]; }
  void issue_below(int command, const Address& address, Cycle now, int latency_class);
  void touch(const Block& block, int node, Cycle now, const Row* rows);
  void touch_windows(const Block& block, int node, Cycle now, const Row* rows);
  void touch_beside(const Block& block, int node, int first, int last, Cycle now, const Row* rows);
  void raise(Cycle* earliest, const Row& row, Cycle from) { earliest[row.entry] = std::max(earliest[row.entry], from + row.latency); }
  int offset_of(int level, int node) const { return level_offset_[static_cast<std::size_t>(level)] + node * widths_[static_cast<std::size_t>(level)]; }
  Cycle* earliest_at(int level, int node) { return &earliest_[static_cast<std::size_t>(offset_of(level, node))]; }
  Cycle ready_below(int level, int node, int command, const Address& address) const;

  const Spec& spec_;
  int commands_;
  int levels_;
  std::vector<int> holder_;                // [level] the one that keeps its entries: the highest with as many nodes
  std::vector<std::vector<int>> entries_;  // [level][command] entry in a node of the level, -1: never held back there
  std::vector<int> widths_;                // [level] entries of a node
  std::vector<int> level_offset_;          // [level] first node in earliest_
  std::vector<std::int32_t> bank_nodes_;   // [bank][level] offset into earliest_
  std::vector<std::int32_t> bank_numbers_; // [bank][level] number of the node in its level
  std::vector<Cycle> earliest_;            // [node][entry] after one that holds nothing back
  std::vector<Asked> asked_;               // [command]
  std::vector<std::vector<Block>> blocks_; // [command] by level, from the channel down
  std::vector<std::vector<Row>> rows_;     // [latency class]
  std::vector<Steps> steps_of_;            // [command]
  std::vector<std::vector<Step>> steps_;   // [latency class]
  std::vector<int> windows_;               // [row] how many issues back it counts from
  std::vector<Cycle> history_;             // [block with a window][node], latest first
  std::vector<int> targets_, next_targets_;  // scratch of issue_below
};

}  // namespace moeram
