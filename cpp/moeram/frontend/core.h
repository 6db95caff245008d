// A core of SimpleO3 and BHO3: an instruction window that is filled and retired in order and waits for loads.
#pragma once

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
  Core(int id, const CoreOptions& options, std::vector<CoreTraceEntry> trace);

  void tick(LastLevelCache& cache, Translation& translation);
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
  // Neighbouring instructions of the window that need no telling apart: all ready, or one load that waits.
  struct Group {
    std::int64_t count;
    std::int64_t awaited;  // address of the load, -1 if ready
    // Of a load, ready or not; kept for BHO3's times only.
    std::int64_t address = -1;
    std::int64_t inserted_at = 0;
  };
  enum class Stall { none, window_full, refused_load, refused_store };
  void retire();
  void count_wait(std::int64_t address);
  bool remembers_loads() const;
  void count_memory_time(Cycle arrive, Cycle depart);
  void insert_ready(std::int64_t count);
  Stall advance(LastLevelCache& cache, Translation& translation);
  bool access(LastLevelCache& cache, std::int64_t address, bool write);
  void fetch();
  std::uint32_t& waiting_like(std::int64_t address) { return waiting_by_hash_[static_cast<std::size_t>(address ^ (address >> 6) ^ (address >> 14)) % waiting_by_hash_.size()]; }

  int id_;
  CoreOptions options_;
  std::vector<CoreTraceEntry> trace_;
  std::size_t next_entry_ = 0;
  CoreTraceEntry entry_;       // what of the present entry is still to do
  Ring<Group> window_;         // oldest first
  std::array<std::uint32_t, 256> waiting_by_hash_{};  // loads of the window that wait, by hash of their address
  std::int64_t used_ = 0;
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

}  // namespace moeram
