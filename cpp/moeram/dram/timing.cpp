#include "moeram/dram/timing.h"

#include <utility>

namespace moeram {
namespace {
constexpr Cycle kNeverIssued = -1;
}

Timing::Timing(const Spec& spec)
    : spec_(spec), commands_(static_cast<int>(spec.commands.size())), levels_(spec.bank_level + 1), rows_(spec.classes.size()), steps_(spec.classes.size()) {
  merge_levels();
  asked_.resize(static_cast<std::size_t>(commands_));
  for (int level = 0; level < levels_; ++level) share_entries(level);
  place_nodes();
  find_group_entries();
  blocks_.resize(static_cast<std::size_t>(commands_));
  for (int level = 0; level < levels_; ++level) {
    for (int command = 0; command < commands_; ++command) add_block(level, command);
  }
  for (int command = 0; command < commands_; ++command) add_steps(command);
}

// A level with as many nodes as the one above it has the same nodes: what both say is kept above. Banks stay apart, since
// some rows start in one of them alone.
void Timing::merge_levels() {
  for (int level = 0; level < levels_; ++level) {
    const bool same = level > 0 && level < spec_.bank_level && spec_.nodes_at(level) == spec_.nodes_at(level - 1);
    holder_.push_back(same ? holder_.back() : level);
  }
}

// A row is dead if it names a level below the scope of the command that it holds back: nobody asks there.
// So is one that an only child has for its siblings.
bool Timing::is_alive(const TimingRow& row, int level) const {
  const auto l = static_cast<std::size_t>(level);
  return level <= spec_.commands[static_cast<std::size_t>(row.following)].scope && (!row.sibling || holder_[l] == level);
}

// The rows that hold `following` back at the nodes of a level.
std::vector<Timing::Source> Timing::sources_of(int level, int following) const {
  std::vector<Source> sources;
  for (int l = level; l < levels_ && holder_[static_cast<std::size_t>(l)] == level; ++l) {
    for (int preceding = 0; preceding < commands_; ++preceding) {
      for (const auto& row : spec_.rows[static_cast<std::size_t>(l)][static_cast<std::size_t>(preceding)]) {
        if (row.following == following && is_alive(row, l)) sources.push_back({preceding, &row});
      }
    }
  }
  return sources;
}

// Commands with the same rows before them get one entry.
void Timing::share_entries(int level) {
  const auto alike = [](const Source& a, const Source& b) {
    return a.preceding == b.preceding && a.row->window == b.row->window && a.row->sibling == b.row->sibling && a.row->latency == b.row->latency;
  };
  std::vector<std::vector<Source>> kept;  // [entry]
  auto& entries = entries_.emplace_back(static_cast<std::size_t>(commands_), -1);
  for (int command = 0; command < commands_; ++command) {
    const std::vector<Source> sources = sources_of(level, command);
    if (sources.empty()) continue;
    const auto same = [&](const std::vector<Source>& other) { return std::ranges::equal(sources, other, alike); };
    const auto found = std::find_if(kept.begin(), kept.end(), same);
    const int entry = static_cast<int>(found - kept.begin());
    if (found == kept.end()) kept.push_back(sources);
    entries[static_cast<std::size_t>(command)] = entry;
    Asked& asked = asked_[static_cast<std::size_t>(command)];
    asked.at[asked.size++] = {level, entry};
    if (level <= 1) asked.of_group = asked.size;
  }
  widths_.push_back(static_cast<int>(kept.size()));
}

void Timing::place_nodes() {
  int size = 1;
  for (int level = 0; level < levels_; ++level) {
    level_offset_.push_back(size);
    size += spec_.nodes_at(level) * widths_[static_cast<std::size_t>(level)];
  }
  earliest_.assign(static_cast<std::size_t>(size), 0);
  for (int bank = 0; bank < spec_.banks(); ++bank) {
    for (int level = 0; level < levels_; ++level) {
      const int number = bank / (spec_.banks() / spec_.nodes_at(level));
      bank_numbers_.push_back(number);
      bank_nodes_.push_back(offset_of(level, number));
    }
  }
}

void Timing::find_group_entries() {
  for (int command = 0; command < commands_; ++command) {
    Asked& asked = asked_[static_cast<std::size_t>(command)];
    if (const int entry = entry_of(0, command); entry >= 0) asked.channel = offset_of(0, 0) + entry;
    if (levels_ < 2 || entry_of(1, command) < 0) continue;
    asked.group = offset_of(1, 0) + entry_of(1, command);
    asked.group_width = widths_[1];
  }
}

void Timing::add_block(int level, int command) {
  std::vector<const TimingRow*> own, windows, siblings;
  Block block;
  block.level = level;
  for (int l = level; l < levels_ && holder_[static_cast<std::size_t>(l)] == level; ++l) {
    for (const auto& row : spec_.rows[static_cast<std::size_t>(l)][static_cast<std::size_t>(command)]) {
      if (!is_alive(row, l)) continue;
      (row.sibling ? siblings : row.window > 1 ? windows : own).push_back(&row);
      if (row.sibling || row.window == 1) continue;
      block.window = std::max(block.window, row.window);
      block.reach = std::max(block.reach, *std::max_element(row.latency.begin(), row.latency.end()));
    }
  }
  if (own.empty() && windows.empty() && siblings.empty()) return;
  block.begin = static_cast<int>(windows_.size());
  add_rows(own, level);
  block.end = static_cast<int>(windows_.size());
  add_rows(windows, level);
  block.windows_end = static_cast<int>(windows_.size());
  add_rows(siblings, level);
  block.siblings_end = static_cast<int>(windows_.size());
  if (block.window > 0) {
    block.history = static_cast<int>(history_.size());
    history_.resize(history_.size() + static_cast<std::size_t>(block.window * spec_.nodes_at(level)), kNeverIssued);
  }
  blocks_[static_cast<std::size_t>(command)].push_back(block);
}

// Rows for the same entry and window become one: the longest latency of each class decides.
void Timing::add_rows(const std::vector<const TimingRow*>& rows, int level) {
  const std::size_t begin = windows_.size();
  for (const TimingRow* row : rows) {
    const int entry = entry_of(level, row->following);
    std::size_t at = begin;
    while (at < windows_.size() && (rows_[0][at].entry != entry || windows_[at] != row->window)) ++at;
    if (at == windows_.size()) {
      windows_.push_back(row->window);
      for (auto& of_class : rows_) of_class.push_back({entry, static_cast<std::int32_t>(row->latency[0])});
    }
    for (std::size_t c = 0; c < rows_.size(); ++c) {
      // Only what opens a row and counts from itself may depend on the class of the row.
      const Cycle latency = row->latency[c < row->latency.size() ? c : 0];
      rows_[c][at].latency = std::max(rows_[c][at].latency, static_cast<std::int32_t>(latency));
    }
  }
}

void Timing::add_steps(int command) {
  Steps& steps = steps_of_.emplace_back();
  steps.begin = static_cast<int>(steps_[0].size());
  for (const Block& block : blocks_[static_cast<std::size_t>(command)]) {
    steps.all = steps.all && block.siblings_end == block.end && block.window == 0;
    for (std::size_t c = 0; c < rows_.size(); ++c) {
      for (int i = block.begin; i < block.end; ++i) steps_[c].push_back({block.level, rows_[c][static_cast<std::size_t>(i)].entry, rows_[c][static_cast<std::size_t>(i)].latency});
    }
  }
  steps.end = static_cast<int>(steps_[0].size());
}

void Timing::issue_in_bank(int command, int bank, Cycle now, int latency_class) {
  const std::int32_t* nodes = &bank_nodes_[static_cast<std::size_t>(bank * levels_)];
  const Steps& steps = steps_of_[static_cast<std::size_t>(command)];
  const Step* const first = steps_[static_cast<std::size_t>(latency_class)].data();
  for (const Step* step = first + steps.begin; step != first + steps.end; ++step) {
    Cycle& earliest = earliest_[static_cast<std::size_t>(nodes[step->level] + step->entry)];
    earliest = std::max(earliest, now + step->latency);
  }
  if (!steps.all) touch_others(command, bank, now, rows_[static_cast<std::size_t>(latency_class)].data());
}

// Rows that count from an earlier issue or act beside the nodes of the bank.
void Timing::touch_others(int command, int bank, Cycle now, const Row* rows) {
  const std::int32_t* numbers = &bank_numbers_[static_cast<std::size_t>(bank * levels_)];
  for (const Block& block : blocks_[static_cast<std::size_t>(command)]) {
    const int node = numbers[block.level];
    if (block.window > 0) touch_windows(block, node, now, rows);
    if (block.siblings_end == block.windows_end) continue;
    const int width = spec_.counts[static_cast<std::size_t>(block.level)];
    const int first = numbers[block.level - 1] * width;
    touch_beside(block, node, first, first + width, now, rows);
  }
}

void Timing::touch(const Block& block, int node, Cycle now, const Row* rows) {
  Cycle* earliest = earliest_at(block.level, node);
  for (int i = block.begin; i < block.end; ++i) raise(earliest, rows[i], now);
  if (block.window > 0) touch_windows(block, node, now, rows);
}

// Rows that count from an earlier issue, and the issue itself for later ones.
void Timing::touch_windows(const Block& block, int node, Cycle now, const Row* rows) {
  Cycle* earliest = earliest_at(block.level, node);
  Cycle* latest = &history_[static_cast<std::size_t>(block.history + node * block.window)];
  Cycle older = now;
  for (int i = 0; i < block.window; ++i) std::swap(latest[i], older);
  for (int i = block.end; i < block.windows_end; ++i) {
    const Cycle from = latest[windows_[static_cast<std::size_t>(i)] - 1];
    if (from != kNeverIssued) raise(earliest, rows[i], from);
  }
}

// The other nodes of [first, last), which have one parent.
void Timing::touch_beside(const Block& block, int node, int first, int last, Cycle now, const Row* rows) {
  for (int other = first; other < last; ++other) {
    if (other == node) continue;
    Cycle* earliest = earliest_at(block.level, other);
    for (int i = block.windows_end; i < block.siblings_end; ++i) raise(earliest, rows[i], now);
  }
}

// From the channel down along the address, to all children where it has a wildcard.
void Timing::issue_below(int command, const Address& address, Cycle now, int latency_class) {
  const auto& blocks = blocks_[static_cast<std::size_t>(command)];
  if (blocks.empty()) return;
  const Row* rows = rows_[static_cast<std::size_t>(latency_class)].data();
  auto block = blocks.begin();
  if (blocks.back().level == 0) {  // of the channel alone
    touch(*block, 0, now, rows);
    return;
  }
  targets_.assign(1, 0);
  for (int level = 0; level <= blocks.back().level; ++level) {
    const auto l = static_cast<std::size_t>(level);
    const int width = level == 0 ? 1 : spec_.counts[l];
    const int wanted = level == 0 ? 0 : address[l];
    next_targets_.clear();
    for (const int parent : targets_) {
      for (int child = wanted < 0 ? 0 : wanted; child < (wanted < 0 ? width : wanted + 1); ++child) next_targets_.push_back(parent * width + child);
      if (block->level == level && wanted >= 0) touch_beside(*block, parent * width + wanted, parent * width, (parent + 1) * width, now, rows);
    }
    targets_.swap(next_targets_);
    if (block->level != level) continue;
    for (const int node : targets_) touch(*block, node, now, rows);
    ++block;
  }
}

Cycle Timing::ready_below(int level, int node, int command, const Address& address) const {
  const auto l = static_cast<std::size_t>(level);
  const int entry = entry_of(level, command);
  Cycle latest = entry < 0 ? 0 : earliest_[static_cast<std::size_t>(offset_of(level, node) + entry)];
  if (level == spec_.commands[static_cast<std::size_t>(command)].scope || level == spec_.bank_level) return latest;
  const int width = spec_.counts[l + 1];
  const int wanted = address[l + 1];
  for (int child = wanted < 0 ? 0 : wanted; child < (wanted < 0 ? width : wanted + 1); ++child) {
    latest = std::max(latest, ready_below(level + 1, node * width + child, command, address));
  }
  return latest;
}

Cycle Timing::earliest_after(int command, const Address& issued, int following, const Address& held, Cycle now) const {
  // Down to which level do both name the same nodes, and which?
  int shared = 0, node = 0;
  std::int32_t nodes[kMaxLevels] = {};
  for (int level = 1; level < levels_; ++level) {
    const auto l = static_cast<std::size_t>(level);
    if (issued[l] != held[l] && issued[l] >= 0 && held[l] >= 0) break;
    node = node * spec_.counts[l] + std::max({issued[l], held[l], 0});
    nodes[level] = node;
    shared = level;
  }
  Cycle latest = 0;
  for (const Block& block : blocks_[static_cast<std::size_t>(command)]) {
    if (block.level > shared + 1) break;
    const bool beside = block.level == shared + 1;
    for (const auto& rows : rows_) {
      for (int i = beside ? block.windows_end : block.begin; i < (beside ? block.siblings_end : block.windows_end); ++i) {
        if (rows[static_cast<std::size_t>(i)].entry != entry_of(block.level, following)) continue;
        Cycle from = now;
        if (const int window = windows_[static_cast<std::size_t>(i)]; window > 1 && !beside) {
          from = history_[static_cast<std::size_t>(block.history + nodes[block.level] * block.window + window - 2)];
          if (from == kNeverIssued) continue;
        }
        latest = std::max(latest, from + rows[static_cast<std::size_t>(i)].latency);
      }
    }
  }
  return latest;
}

void Timing::canonical(Cycle now, const Frame& frame, std::vector<std::int64_t>& out) const {
  // A limit that has passed and one never set say the same; so does a history entry older than every row that could use it.
  for (int level = 0; level < levels_; ++level) {
    for (int label = 0; label < spec_.nodes_at(level); ++label) {
      const int begin = offset_of(level, frame.node(level, label));
      for (int entry = 0; entry < widths_[static_cast<std::size_t>(level)]; ++entry) out.push_back(std::max<Cycle>(earliest_[static_cast<std::size_t>(begin + entry)] - now, 0));
    }
  }
  for (const auto& blocks : blocks_) {
    for (const auto& block : blocks) {
      if (block.window == 0) continue;
      for (int label = 0; label < spec_.nodes_at(block.level); ++label) {
        const Cycle* latest = &history_[static_cast<std::size_t>(block.history + frame.node(block.level, label) * block.window)];
        for (int i = 0; i < block.window; ++i) out.push_back(latest[i] == kNeverIssued ? -block.reach : std::max(latest[i] - now, -block.reach));
      }
    }
  }
}

}  // namespace moeram
