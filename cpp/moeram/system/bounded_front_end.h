// A front end that gives up when its memory has made too many cycles.
#pragma once

#include "moeram/base/errors.h"
#include "moeram/frontend/frontend.h"
#include "moeram/system/memory_system.h"

namespace moeram {

class BoundedFrontEnd : public FrontEnd {
 public:
  BoundedFrontEnd(FrontEnd& inner, const MemorySystem& system, Cycle most_cycles) : inner_(inner), system_(system), most_cycles_(most_cycles) {}
  void tick(RequestTarget& memory) override {
    check();
    inner_.tick(memory);
  }
  void pass(RequestTarget& memory, std::int64_t ticks) override {
    check();
    inner_.pass(memory, ticks);
  }
  bool finished() const override { return inner_.finished(); }
  std::int64_t quiet_ticks(const RequestTarget& memory) const override { return inner_.quiet_ticks(memory); }
  void on_read_done(const Request& request) override { inner_.on_read_done(request); }
  int cores() const override { return inner_.cores(); }
  Component describe() const override { return inner_.describe(); }

 private:
  void check() const {
    if (system_.now() < most_cycles_) return;
    throw EngineError("cycle " + std::to_string(system_.now()) + ": not finished within " + std::to_string(most_cycles_) + " cycles");
  }
  FrontEnd& inner_;
  const MemorySystem& system_;
  Cycle most_cycles_;
};

}  // namespace moeram
