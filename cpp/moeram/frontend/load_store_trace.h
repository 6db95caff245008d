// Lines "LD <address>" or "ST <address>", one request a tick at most.
#pragma once

#include <string>
#include <vector>

#include "moeram/frontend/frontend.h"

namespace moeram {

class LoadStoreTrace final : public FrontEnd {
 public:
  // Throws TraceError naming file, line and rule; an empty file is refused.
  explicit LoadStoreTrace(const std::string& path);
  void tick(RequestTarget& memory) override;
  bool finished() const override { return next_ >= entries_.size(); }
  std::int64_t quiet_ticks(const RequestTarget& memory) const override {
    return refused_ && memory.version() == refused_version_ ? kNever : 0;
  }
  void pass(RequestTarget& memory, std::int64_t ticks) override;
  std::size_t size() const { return entries_.size(); }
  int kind(std::size_t number) const { return entries_[number].kind(); }
  std::int64_t address(std::size_t number) const { return entries_[number].address(); }
  Component describe() const override { return {"Frontend", "LoadStoreTrace", "", {}, {}}; }

 private:
  struct Entry {
    std::int64_t address_and_kind;  // address * 2 + (1 if a store): half the memory of two fields
    int kind() const { return address_and_kind & 1 ? kWrite : kRead; }
    std::int64_t address() const { return address_and_kind >> 1; }
  };
  std::vector<Entry> entries_;
  std::size_t next_ = 0;
  bool refused_ = false;
  std::uint64_t refused_version_ = 0;
};

}  // namespace moeram
