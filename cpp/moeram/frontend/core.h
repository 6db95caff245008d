// A core of SimpleO3 and BHO3: an instruction window that is filled and retired in order and waits for loads.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "moeram/base/ring.h"
#include "moeram/frontend/last_level_cache.h"
#include "moeram/mapping/translation.h"

namespace moeram {

struct CoreOptions {
  std::int64_t ipc = 4;
  std::int64_t window = 128;
  std::int64_t expected_instructions = 0;
  std::int64_t most_cycles = kNever;        // finished then at the latest
  // Memory access cycles of BHO3: core cycles from the insertion of a load to its data, of every completion.
  bool waits_in_core_cycles = false;
};

struct CoreTraceEntry {
  std::int64_t bubbles = 0;
  std::int64_t load = -1;   // -1: none
  std::int64_t store = -1;
};

// Lines "<bubbles> <load>" or "<bubbles> <load> <store>" in decimal; -1 means none. Throws TraceError.
std::vector<CoreTraceEntry> read_core_trace(const std::string& path);

class Core {
 public:
  // The translation outlives the core.
  Core(int id, const CoreOptions& options, Translation& translation, std::vector<CoreTraceEntry> trace);

  void tick(LastLevelCache& cache) {
    ++now_;
    moved_ = false;
    retire();
    stall_ = advance(cache);
  }
  void deliver(std::int64_t address, Cycle arrive, Cycle depart);

  // How many of the coming ticks do nothing but what pass() does, as long as nothing is delivered to any core.
  std::int64_t quiet_ticks() const;
  void pass(LastLevelCache& cache, std::int64_t ticks);

  bool finished() const { return finished_at_ >= 0; }
  std::int64_t finished_at() const { return finished_at_; }
  std::int64_t memory_access_cycles() const { return memory_access_cycles_; }
  // Cycles and instructions up to the end of the core's task or, without an end, up to now.
  std::int64_t cycles_recorded() const { return finished() ? finished_at_ : now_; }
  std::int64_t instructions_recorded() const { return finished() ? instructions_recorded_ : retired_; }
  std::int64_t requests() const { return requests_; }  // accepted loads and stores

 private:
  // A load of the window; everything else in it is ready.
  struct Load {
    std::int64_t position;  // instructions before it, from the start on
    std::int64_t address;
    std::int64_t inserted_at;
    bool waits;
  };
  enum class Stall { none, window_full, refused_load, refused_store };
  void retire();
  void count_wait(std::int64_t address);
  void count_memory_time(Cycle arrive, Cycle depart);
  void forget_retired_loads();
  void finish_if_done();
  Stall advance(LastLevelCache& cache);
  bool access(LastLevelCache& cache, std::int64_t address, bool write);
  void fetch();
  std::uint32_t& waiting_like(std::int64_t address) { return waiting_by_hash_[static_cast<std::size_t>(address ^ (address >> 6) ^ (address >> 14)) % waiting_by_hash_.size()]; }

  int id_;
  CoreOptions options_;
  Translation* translation_;
  std::vector<CoreTraceEntry> trace_;
  std::size_t next_entry_ = 0;
  CoreTraceEntry entry_;       // what of the present entry is still to do
  Ring<Load> loads_;           // of the window, oldest first
  std::size_t ready_loads_ = 0;  // of them, before the first that waits
  std::array<std::uint32_t, 256> waiting_by_hash_{};  // loads of the window that wait, by hash of their address
  std::int64_t used_ = 0;      // instructions in the window
  std::int64_t waiting_ = 0;   // loads of the window that wait
  std::int64_t now_ = 0;
  std::int64_t retired_ = 0;
  std::int64_t finished_at_ = -1;
  std::int64_t instructions_recorded_ = 0;
  std::int64_t memory_access_cycles_ = 0;
  std::int64_t requests_ = 0;
  Cycle last_depart_ = 0;
  bool moved_ = false;         // the last tick retired or inserted something
  Stall stall_ = Stall::none;  // what ended the last tick
  bool mshrs_were_out_ = false;
};

inline void Core::retire() {
  const std::int64_t ready = ready_loads_ < loads_.size() ? loads_[ready_loads_].position - retired_ : used_;
  if (const std::int64_t taken = std::min(options_.ipc, ready); taken > 0) {
    used_ -= taken;
    retired_ += taken;
    moved_ = true;
    forget_retired_loads();
  }
  if (finished_at_ < 0) finish_if_done();
}

inline void Core::forget_retired_loads() {
  for (; ready_loads_ > 0 && loads_.front().position < retired_; --ready_loads_) loads_.pop_front();
}

inline void Core::finish_if_done() {
  if (retired_ < options_.expected_instructions && now_ < options_.most_cycles) return;
  finished_at_ = now_;
  instructions_recorded_ = retired_;
}

}  // namespace moeram
