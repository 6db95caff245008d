// Finds out that a state came back, and what happened in between.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

// Totals at some time.
struct Moment {
  Cycle time = 0;
  std::int64_t requests = 0;
  std::int64_t latencies_from_zero = 0;  // how many were counted so
  std::vector<std::int64_t> counts;
};

// What one round through a state adds.
struct Period {
  Cycle begin = 0;  // when the round began from which this was taken
  Cycle cycles = 0;
  std::int64_t requests = 0;
  std::vector<std::int64_t> counts;
};

// A state as bytes; small numbers take one.
std::string pack(const std::vector<std::int64_t>& state);

class Repeats {
 public:
  // The round on which `state` lies, if it is known by now. States are compared in full.
  const Period* visit(std::string state, Moment moment);
  // What comes is no continuation of what was; rounds found stay known.
  void forget_moments() { moments_.clear(); }

 private:
  std::unordered_map<std::string, Moment> moments_;
  std::unordered_map<std::string, const Period*> known_;
  std::deque<Period> periods_;
};

}  // namespace moeram
