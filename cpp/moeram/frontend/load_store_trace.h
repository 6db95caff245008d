// Lines "LD <address>" or "ST <address>", one request a tick at most.
#pragma once

#include <string>
#include <vector>

#include "moeram/frontend/frontend.h"
#include "moeram/frontend/request_runs.h"

namespace moeram {

class LoadStoreTrace final : public FrontEnd {
 public:
  // Throws TraceError naming file, line and rule; an empty file is refused.
  explicit LoadStoreTrace(const std::string& path);
  void tick(RequestTarget& memory) override;
  bool finished() const override { return cursor_.finished(); }
  std::int64_t quiet_ticks(const RequestTarget& memory) const override {
    return refused_ && memory.version() == refused_version_ ? kNever : 0;
  }
  void pass(RequestTarget& memory, std::int64_t ticks) override;
  const RequestRuns& requests() const { return requests_; }
  RequestCursor& cursor() { return cursor_; }
  Component describe() const override { return {"Frontend", "LoadStoreTrace", "", {}, {}}; }

 private:
  RequestRuns requests_;
  RequestCursor cursor_;
  bool refused_ = false;
  std::uint64_t refused_version_ = 0;
};

}  // namespace moeram
