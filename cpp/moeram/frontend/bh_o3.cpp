#include "moeram/frontend/bh_o3.h"

namespace moeram {
namespace {

std::vector<std::string> joined(std::vector<std::string> first, const std::vector<std::string>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

CoreOptions as_in_bh_o3(CoreOptions core) {
  core.waits_in_core_cycles = true;
  return core;
}

}  // namespace

BhO3::BhO3(const BhO3Options& options, const CoreOptions& core, const CacheOptions& cache, std::unique_ptr<Translation> translation)
    : SimpleO3(joined(options.traces, options.attackers), as_in_bh_o3(core), cache, std::move(translation), static_cast<int>(options.traces.size())),
      save_cache_(options.save_cache) {
  if (!options.load_cache.empty()) cache_.load(options.load_cache);
}

void BhO3::deliver(const LastLevelCache::Access& access, Cycle arrive, Cycle depart) {
  SimpleO3::deliver(access, arrive, depart);
  if (access.core >= waited_for_) cache_.flush(access.address);
}

void BhO3::finish() {
  if (!save_cache_.empty()) cache_.save(save_cache_);
}

Component BhO3::describe() const {
  Component out{"Frontend", "BHO3", "", {}, {}};
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const std::string suffix = "_core_" + std::to_string(i);
    out.add("memory_requests_recorded" + suffix, cores_[i].requests());
    out.add("memory_access_cycles_recorded" + suffix, cores_[i].memory_access_cycles());
    out.add("insts_recorded" + suffix, cores_[i].instructions_recorded());
    out.add("cycles_recorded" + suffix, cores_[i].cycles_recorded());
  }
  out.add("llc_mshr_blacklisted", std::int64_t{0});
  describe_cache(out);
  return out;
}

}  // namespace moeram
