// Takes repetitions in a load/store trace as done, as streams do (see docs/scale.md). A run of the trace goes round in turns:
// requests after which all addresses have moved by the same number of blocks. When the state of all channels comes back
// relative to where the run stands, whole rounds are added.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moeram/frontend/load_store_trace.h"
#include "moeram/system/memory_system.h"
#include "moeram/system/repeats.h"

namespace moeram {

class TraceFolding {
 public:
  // False where something watches single commands, treats rows differently, cannot be compared, or where addresses lie
  // beyond the capacity.
  static bool is_exact_for(const LoadStoreTrace& trace, MemorySystem& memory);
  // Both must outlive it.
  TraceFolding(LoadStoreTrace& trace, MemorySystem& memory);

  // When to call at_turn() (after so many requests were sent, right after the last) and at_refresh() (after this cycle).
  std::int64_t next_turn() const { return next_turn_; }
  Cycle next_refresh() const { return next_refresh_; }
  // `lead`: how far the front end's next tick is ahead of the memory's.
  void at_turn(std::int64_t lead);
  void at_refresh(std::int64_t lead);
  // Requests taken as done.
  std::int64_t folded() const { return folded_; }

 private:
  const RequestRuns::Run& run() const { return trace_.requests().runs()[run_]; }
  std::int64_t turn_of(const RequestRuns::Run& run) const;
  void find_run(std::size_t from);
  void begin_at(const RequestCursor& cursor);
  void find_next_refresh();
  std::int64_t key_of(std::int64_t byte_address) const;
  std::int64_t regular_until(std::int64_t end);
  std::string state(std::int64_t lead, bool with_refresh);
  std::int64_t times_left(const Period& period);
  void jump(const Period& period, std::int64_t times, const Moment& now);

  LoadStoreTrace& trace_;
  MemorySystem& memory_;
  Frame frame_;
  std::int64_t nodes_of_block_;  // channels times columns
  std::int64_t keys_;            // of all there are
  std::size_t run_ = 0;
  std::int64_t turn_ = 0;        // requests
  std::int64_t begin_ = 0;       // the first request of the first turn
  std::int64_t next_turn_ = kNever;
  Cycle next_refresh_ = kNever;
  // How far each turn's addresses are those of the turn before, moved by one step.
  std::vector<std::int64_t> turn_keys_;  // of the last turn that was checked
  std::int64_t key_step_ = 0;
  std::optional<RequestCursor> checked_;  // stands behind the last that was checked
  std::int64_t checked_in_turn_ = 0;
  bool irregular_ = false;  // the next one is not
  Repeats turns_, refreshes_;
  int tries_left_ = 0;  // at turns that did not come back
  bool turns_done_ = false, refreshes_done_ = false;  // nothing more to gain until a refresh, until the run ends
  std::int64_t folded_ = 0;
};

}  // namespace moeram
