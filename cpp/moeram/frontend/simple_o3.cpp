#include "moeram/frontend/simple_o3.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {

SimpleO3::SimpleO3(const std::vector<std::string>& traces, const CoreOptions& core, const CacheOptions& cache, std::unique_ptr<Translation> translation,
                   int waited_for)
    : expected_instructions_(core.expected_instructions),
      translation_(std::move(translation)),
      cache_(cache, [this](const LastLevelCache::Access& access, Cycle arrive, Cycle depart) { deliver(access, arrive, depart); }),
      waited_for_(waited_for < 0 ? static_cast<int>(traces.size()) : waited_for),
      unfinished_(waited_for_) {
  if (core.ipc < 1 || core.window < 1) throw ConfigError("SimpleO3: ipc and inst_window_depth must be at least 1");
  for (const auto& path : traces) {
    const int id = static_cast<int>(cores_.size());
    cores_.emplace_back(id, core, id < waited_for_ ? *translation_ : physical_, read_core_trace(path));
  }
}

void SimpleO3::deliver(const LastLevelCache::Access& access, Cycle arrive, Cycle depart) {
  if (access.core >= 0) cores_[static_cast<std::size_t>(access.core)].deliver(access.address, arrive, depart);
}

void SimpleO3::tick(RequestTarget& memory) {
  disturbed_ = false;
  cache_.tick(memory);
  tick_cores();
}

void SimpleO3::tick_cores() {
  unfinished_ = 0;
  int number = 0;
  for (auto& core : cores_) {
    core.tick(cache_);
    if (number++ < waited_for_ && !core.finished()) ++unfinished_;
  }
}

std::int64_t SimpleO3::tick_alone(std::int64_t most) {
  const auto waits = [](const Core& core) { return core.quiet_ticks() > 0; };
  std::int64_t played = 0;
  while (played < most && !cache_.asks_next()) {
    cache_.tick_alone();
    tick_cores();
    ++played;
    if (finished() || std::all_of(cores_.begin(), cores_.end(), waits)) break;
  }
  if (played > 0) disturbed_ = false;
  return played;
}

std::int64_t SimpleO3::quiet_ticks(const RequestTarget& memory) const {
  if (disturbed_) return 0;
  std::int64_t quiet = kNever;
  for (const auto& core : cores_) {
    quiet = std::min(quiet, core.quiet_ticks());
    if (quiet == 0) return 0;
  }
  return std::min(quiet, cache_.quiet_ticks(memory));
}

void SimpleO3::pass(RequestTarget& memory, std::int64_t ticks) {
  cache_.pass(memory, ticks);
  for (auto& core : cores_) core.pass(cache_, ticks);
}

Component SimpleO3::describe() const {
  Component out{"Frontend", "SimpleO3", "", {}, {}};
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const std::string suffix = "_core_" + std::to_string(i);
    out.add("memory_access_cycles_recorded" + suffix, cores_[i].memory_access_cycles());
    out.add("cycles_recorded" + suffix, cores_[i].finished_at());
  }
  describe_cache(out);
  return out;
}

void SimpleO3::describe_cache(Component& out) const {
  const CacheStatistics& cache = cache_.statistics();
  out.add("llc_mshr_unavailable", cache.mshr_unavailable);
  out.add("llc_read_misses", cache.read_misses);
  out.add("llc_read_access", cache.read_access);
  out.add("llc_write_misses", cache.write_misses);
  out.add("llc_write_access", cache.write_access);
  out.add("llc_eviction", cache.evictions);
  out.add("num_expected_insts", expected_instructions_);
  out.children.push_back({"Translation", translation_->name(), "", {}, {}});
}

}  // namespace moeram
