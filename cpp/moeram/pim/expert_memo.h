// What single experts were found to do: from a state between two experts to the next one, and what grew meanwhile.
#pragma once

#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

// Of one near-memory chip; several threads may use it at a time. States and programs are compared in full.
class ExpertMemo {
 public:
  using Numbers = std::vector<std::int64_t>;
  using State = int;
  static constexpr State kUnknown = -1;  // a state that found no room

  struct Step {
    State next = kUnknown;
    Numbers grown;  // of NmpLayer::counts
  };

  explicit ExpertMemo(std::size_t most_bytes = std::size_t{64} << 20) : most_bytes_(most_bytes) {}

  // To be held while it is used. Forgets everything first if it is full and nobody else uses it.
  std::shared_lock<std::shared_mutex> use();
  // The number of a state, which it gets if it has none.
  State state(const Numbers& canonical);
  // False also for a state that is not here.
  bool is(State state, const Numbers& canonical) const;
  // nullptr: never seen. What it points to stays as long as the memo is used.
  const Step* find(State state, const Numbers& program) const;
  // Keep it if there is room; false: it was here already.
  bool add(State state, const Numbers& program, const Step& step);

 private:
  struct Hash {
    std::size_t operator()(const Numbers& numbers) const;
  };
  bool room_for(const Numbers& numbers);

  std::shared_mutex in_use_;
  mutable std::mutex mutex_;
  std::size_t most_bytes_;
  std::size_t bytes_ = 0;
  bool full_ = false;
  std::unordered_map<Numbers, State, Hash> states_;  // run lengths of canonical states
  std::unordered_map<Numbers, Step, Hash> steps_;    // by state, then program
};

}  // namespace moeram
