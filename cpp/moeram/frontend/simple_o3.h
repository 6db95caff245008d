// Cores with a shared last-level cache, after Ramulator 2.0's SimpleO3.
#pragma once

#include <memory>
#include <vector>

#include "moeram/frontend/core.h"

namespace moeram {

class SimpleO3 : public FrontEnd {
 public:
  // The first `waited_for` traces (all if negative) decide when the run is over. Throws ConfigError or TraceError.
  SimpleO3(const std::vector<std::string>& traces, const CoreOptions& core, const CacheOptions& cache, std::unique_ptr<Translation> translation,
           int waited_for = -1);

  void tick(RequestTarget& memory) final;
  // tick() up to `most` times, as long as memory is not needed and until every core waits or the run is over; returns how often.
  std::int64_t tick_alone(std::int64_t most);
  bool finished() const final { return unfinished_ == 0; }
  std::int64_t quiet_ticks(const RequestTarget& memory) const final;
  void pass(RequestTarget& memory, std::int64_t ticks) final;
  void on_read_done(const Request& request) final {
    disturbed_ = true;
    cache_.on_read_done(request);
  }
  int cores() const override { return static_cast<int>(cores_.size()); }
  Component describe() const override;

 protected:
  virtual void deliver(const LastLevelCache::Access& access, Cycle arrive, Cycle depart);
  void describe_cache(Component& out) const;

  std::int64_t expected_instructions_;
  std::unique_ptr<Translation> translation_;
  NoTranslation physical_;  // for the cores that are not waited for
  std::vector<Core> cores_;
  LastLevelCache cache_;
  int waited_for_;

 private:
  void tick_cores();
  int unfinished_;
  bool disturbed_ = false;  // data came since the last tick
};

}  // namespace moeram
