// The front end of a host program: it never ticks, and hands each read's data to the callback it was sent with.
#pragma once

#include <functional>
#include <vector>

#include "moeram/frontend/frontend.h"

namespace moeram {

class ExternalFrontEnd : public FrontEnd {
 public:
  using OnRead = std::function<void(const Request&)>;
  explicit ExternalFrontEnd(int cores) : cores_(cores) {}

  // False: refused.
  bool send(RequestTarget& memory, int kind, std::int64_t byte_address, int source, OnRead done);

  void tick(RequestTarget&) override {}
  bool finished() const override { return true; }
  std::int64_t quiet_ticks(const RequestTarget&) const override { return kNever; }
  void pass(RequestTarget&, std::int64_t) override {}
  void on_read_done(const Request& request) override;
  int cores() const override { return cores_; }
  Component describe() const override { return {"Frontend", "GEM5", "", {}, {}}; }

 private:
  int cores_;
  std::vector<OnRead> waiting_;            // by tag - 1
  std::vector<std::uint64_t> free_tags_;
};

}  // namespace moeram
