// Cores with a shared last-level cache, after Ramulator 2.0's SimpleO3.
#pragma once

#include <memory>
#include <vector>

#include "moeram/frontend/core.h"

namespace moeram {

class SimpleO3 : public FrontEnd {
 public:
  SimpleO3(const std::vector<std::string>& traces, const CoreOptions& core, const CacheOptions& cache, std::unique_ptr<Translation> translation);

  void tick(RequestTarget& memory) override;
  bool finished() const override;
  std::int64_t quiet_ticks(const RequestTarget&) const override { return 0; }
  void pass(RequestTarget&, std::int64_t) override {}
  void on_read_done(const Request& request) override { cache_.on_read_done(request); }
  int cores() const override { return static_cast<int>(cores_.size()); }
  Component describe() const override;

 private:
  std::int64_t expected_instructions_;
  std::unique_ptr<Translation> translation_;
  std::vector<Core> cores_;
  LastLevelCache cache_;
};

}  // namespace moeram
