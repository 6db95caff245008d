// One all-bank refresh per rank every interval, all ranks asked in the same tick.
#pragma once

#include "moeram/controller/refresh/refresh_manager.h"

namespace moeram {

class AllBankRefresh : public RefreshManager {
 public:
  AllBankRefresh(const Spec& spec, int channel);
  void tick(Cycle now, MemoryPort& port) override;
  Cycle next_event() const override { return next_; }
  void canonical(Cycle now, std::vector<std::int64_t>& out) const override { out.push_back(next_ == kNever ? -1 : next_ - now); }
  int distinguished_level() const override { return level_; }
  bool hasten(Cycle cycles) override {
    if (next_ != kNever) next_ -= cycles;
    return true;
  }
  std::string name() const override { return "AllBank"; }

 private:
  std::vector<Request> requests_;
  int level_ = 0;
  Cycle interval_ = 0;
  Cycle next_ = kNever;
};

}  // namespace moeram
