#include "moeram/frontend/core.h"

#include <algorithm>

#include "moeram/frontend/trace_lines.h"

namespace moeram {

std::vector<CoreTraceEntry> read_core_trace(const std::string& path) {
  std::vector<CoreTraceEntry> trace;
  const std::string form = "'<bubbles> <load address>' or '<bubbles> <load address> <store address>' with single spaces, in decimal, -1 for none";
  for_each_trace_line(path, form, [&](std::string_view line) -> std::string {
    const auto parts = split(line, ' ');
    if (parts.size() != 2 && parts.size() != 3) return std::to_string(parts.size()) + " fields";
    const auto address = [](std::string_view text) { return text == "-1" ? std::optional<std::int64_t>(-1) : parse_decimal(text); };
    const auto bubbles = parse_decimal(parts[0]);
    const auto load = address(parts[1]);
    const auto store = parts.size() == 3 ? address(parts[2]) : std::optional<std::int64_t>(-1);
    if (!bubbles || !load || !store) return "a field is no decimal number";
    trace.push_back({*bubbles, *load, *store});
    return "";
  });
  return trace;
}

Core::Core(int id, const CoreOptions& options, std::vector<CoreTraceEntry> trace)
    : id_(id), options_(options), trace_(std::move(trace)), slots_(static_cast<std::size_t>(options.window)) {
  fetch();
}

void Core::fetch() {
  entry_ = trace_[next_entry_];
  next_entry_ = (next_entry_ + 1) % trace_.size();
}

void Core::insert(bool ready, std::int64_t address) {
  slots_[static_cast<std::size_t>((head_ + used_) % options_.window)] = {ready, address};
  ++used_;
}

void Core::retire() {
  for (std::int64_t i = 0; i < options_.ipc && used_ > 0 && slots_[static_cast<std::size_t>(head_)].ready; ++i) {
    head_ = (head_ + 1) % options_.window;
    --used_;
    ++retired_;
  }
  if (finished_at_ < 0 && retired_ >= options_.expected_instructions) finished_at_ = now_;
}

void Core::tick(LastLevelCache& cache, Translation& translation) {
  ++now_;
  retire();
  std::int64_t inserted = 0;
  while (entry_.bubbles > 0) {
    if (inserted == options_.ipc || window_full()) return;
    insert(true, -1);
    ++inserted;
    --entry_.bubbles;
  }
  if (entry_.load >= 0) {
    if (inserted == options_.ipc || window_full()) return;
    const std::int64_t address = translation.translate(entry_.load, id_);
    if (!cache.access({address, false, id_})) return;
    insert(false, address);
    entry_.load = -1;
    if (entry_.store >= 0) return;
  }
  if (entry_.store >= 0) {
    if (!cache.access({translation.translate(entry_.store, id_), true, id_})) return;
    entry_.store = -1;
  }
  fetch();
}

void Core::deliver(std::int64_t address, Cycle arrive, Cycle depart) {
  for (std::int64_t i = 0; i < used_; ++i) {
    Slot& slot = slots_[static_cast<std::size_t>((head_ + i) % options_.window)];
    if (slot.address == address) slot.ready = true;
  }
  if (!finished() && arrive >= 0 && depart > last_depart_) {
    memory_access_cycles_ += depart - std::max(last_depart_, arrive);
    last_depart_ = depart;
  }
}

}  // namespace moeram
