#include "moeram/frontend/core.h"

#include <algorithm>

#include "moeram/frontend/trace_lines.h"

namespace moeram {

std::vector<CoreTraceEntry> read_core_trace(const std::string& path) {
  std::vector<CoreTraceEntry> trace;
  const std::string form = "'<bubbles> <load address>' or '<bubbles> <load address> <store address>' with single spaces, in decimal, -1 for none";
  for_each_trace_line(path, form, [&](std::string_view line) -> std::string {
    std::string_view parts[3];
    const std::size_t fields = split_into(parts, line, ' ');
    if (fields != 2 && fields != 3) return std::to_string(fields) + " fields";
    const auto address = [](std::string_view text) { return text == "-1" ? std::optional<std::int64_t>(-1) : parse_decimal(text); };
    const auto bubbles = parse_decimal(parts[0]);
    const auto load = address(parts[1]);
    const auto store = fields == 3 ? address(parts[2]) : std::optional<std::int64_t>(-1);
    if (!bubbles || !load || !store) return "a field is no decimal number";
    trace.push_back({*bubbles, *load, *store});
    return "";
  });
  return trace;
}

Core::Core(int id, const CoreOptions& options, Translation& translation, std::vector<CoreTraceEntry> trace)
    : id_(id), options_(options), translation_(&translation), trace_(std::move(trace)) {
  fetch();
}

void Core::fetch() {
  entry_ = trace_[next_entry_];
  if (++next_entry_ == trace_.size()) next_entry_ = 0;
}

// At most one load a tick, a load and its store never in the same tick.
Core::Stall Core::advance(LastLevelCache& cache) {
  const std::int64_t inserted = std::min({options_.ipc, options_.window - used_, entry_.bubbles});
  if (inserted > 0) {
    used_ += inserted;
    entry_.bubbles -= inserted;
    moved_ = true;
  }
  if (entry_.bubbles > 0) return used_ == options_.window ? Stall::window_full : Stall::none;
  if (entry_.load >= 0) {
    if (used_ == options_.window) return Stall::window_full;
    if (inserted == options_.ipc) return Stall::none;
    const std::int64_t address = translation_->translate(entry_.load, id_);
    if (!access(cache, address, false)) return Stall::refused_load;
    loads_.push_back({retired_ + used_, address, now_, true});
    ++used_;
    ++waiting_;
    ++waiting_like(address);
    moved_ = true;
    entry_.load = -1;
    if (entry_.store >= 0) return Stall::none;
  }
  if (entry_.store >= 0) {
    if (!access(cache, translation_->translate(entry_.store, id_), true)) return Stall::refused_store;
    entry_.store = -1;
  }
  moved_ = true;
  fetch();
  return Stall::none;
}

bool Core::access(LastLevelCache& cache, std::int64_t address, bool write) {
  if (cache.access({address, write, id_})) {
    ++requests_;
    return true;
  }
  mshrs_were_out_ = cache.mshrs_were_out();
  return false;
}

// Wakes every instruction that waits for this very byte, younger ones too.
void Core::deliver(std::int64_t address, Cycle arrive, Cycle depart) {
  if (!finished() && options_.waits_in_core_cycles) count_wait(address);
  std::uint32_t& alike = waiting_like(address);
  std::uint32_t seen = 0;
  for (std::size_t i = ready_loads_; seen < alike && i < loads_.size(); ++i) {
    Load& load = loads_[i];
    if (load.address != address || !load.waits) continue;
    load.waits = false;
    ++seen;
  }
  alike -= seen;
  waiting_ -= seen;
  while (ready_loads_ < loads_.size() && !loads_[ready_loads_].waits) ++ready_loads_;
  if (!finished() && !options_.waits_in_core_cycles) count_memory_time(arrive, depart);
}

void Core::count_memory_time(Cycle arrive, Cycle depart) {
  if (arrive < 0 || depart <= last_depart_) return;
  memory_access_cycles_ += depart - std::max(last_depart_, arrive);
  last_depart_ = depart;
}

// From the earliest load of this byte in the window, ready ones included.
void Core::count_wait(std::int64_t address) {
  for (std::size_t i = 0; i < loads_.size(); ++i) {
    if (loads_[i].address != address) continue;
    memory_access_cycles_ += now_ - loads_[i].inserted_at;
    return;
  }
}

std::int64_t Core::quiet_ticks() const {
  if (moved_ && (waiting_ > 0 || used_ < options_.ipc)) return 0;
  const std::int64_t to_limit = finished() || options_.most_cycles == kNever ? kNever : std::max<std::int64_t>(options_.most_cycles - now_ - 1, 0);
  if (!moved_) return stall_ == Stall::none ? 0 : to_limit;
  // A full pipeline of bubbles: every tick retires and inserts as many as it can.
  if (options_.waits_in_core_cycles && !loads_.empty()) return 0;
  const std::int64_t to_finish = finished() ? kNever : (options_.expected_instructions - retired_ - 1) / options_.ipc;
  return std::max<std::int64_t>(0, std::min({(entry_.bubbles - 1) / options_.ipc, to_finish, to_limit}));
}

void Core::pass(LastLevelCache& cache, std::int64_t ticks) {
  now_ += ticks;
  if (!moved_) {
    if (stall_ == Stall::refused_load || stall_ == Stall::refused_store) cache.refuse_again(stall_ == Stall::refused_store, mshrs_were_out_, ticks);
    return;
  }
  retired_ += ticks * options_.ipc;
  entry_.bubbles -= ticks * options_.ipc;
  forget_retired_loads();
}

}  // namespace moeram
