// Bank after bank: every interval the next bank of each node of a level is refreshed, all nodes asked in the same tick.
#pragma once

#include "moeram/controller/refresh/refresh_manager.h"

namespace moeram {

class PerBankRefresh : public RefreshManager {
 public:
  PerBankRefresh(const Spec& spec, int channel);
  void tick(Cycle now, MemoryPort& port) override;
  Cycle next_event() const override { return next_; }
  void canonical(Cycle now, std::vector<std::int64_t>& out) const override { out.insert(out.end(), {next_ - now, turn_}); }
  bool hasten(Cycle cycles) override {
    next_ -= cycles;
    return true;
  }
  std::string name() const override { return "PerBank"; }

 private:
  std::vector<std::vector<Request>> requests_;  // [turn][node]
  Cycle interval_;
  Cycle next_;
  std::int64_t turn_ = 0;
};

}  // namespace moeram
