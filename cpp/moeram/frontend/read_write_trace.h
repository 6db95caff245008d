// Lines "R <v0>,<v1>,..." or "W ...": address vectors.
#pragma once

#include <string>
#include <vector>

#include "moeram/frontend/frontend.h"

namespace moeram {

// Ramulator 2.0's front end stops after one request and loses its vector (the memory system maps address -1 over it).
// `as_ramulator` reproduces that; otherwise every line is offered until it is accepted.
class ReadWriteTrace : public FrontEnd {
 public:
  // Vectors must have one entry per level and lie inside the organisation; throws TraceError.
  ReadWriteTrace(const std::string& path, const Spec& spec, bool as_ramulator);
  void tick(RequestTarget& memory) override;
  bool finished() const override { return as_ramulator_ || next_ >= entries_.size(); }
  std::int64_t quiet_ticks(const RequestTarget& memory) const override {
    return refused_ && memory.version() == refused_version_ ? kNever : 0;
  }
  void pass(RequestTarget& memory, std::int64_t ticks) override;
  Component describe() const override { return {"Frontend", "ReadWriteTrace", "", {}, {}}; }

 private:
  struct Entry {
    int kind;
    Address address;
  };
  bool as_ramulator_;
  std::vector<Entry> entries_;
  std::size_t next_ = 0;
  bool refused_ = false;
  std::uint64_t refused_version_ = 0;
};

}  // namespace moeram
