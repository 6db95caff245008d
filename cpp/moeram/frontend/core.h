// A core of SimpleO3: an instruction window that is filled and retired in order and waits for loads.
#pragma once

#include <string>
#include <vector>

#include "moeram/frontend/last_level_cache.h"
#include "moeram/mapping/translation.h"

namespace moeram {

struct CoreOptions {
  std::int64_t ipc = 4;
  std::int64_t window = 128;
  std::int64_t expected_instructions = 0;
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

  bool finished() const { return finished_at_ >= 0; }
  std::int64_t finished_at() const { return finished_at_; }
  std::int64_t memory_access_cycles() const { return memory_access_cycles_; }

 private:
  struct Slot {
    bool ready;
    std::int64_t address;  // -1: no load
  };
  void retire();
  void insert(bool ready, std::int64_t address);
  bool window_full() const { return used_ == options_.window; }
  void fetch();

  int id_;
  CoreOptions options_;
  std::vector<CoreTraceEntry> trace_;
  std::size_t next_entry_ = 0;
  CoreTraceEntry entry_;      // what of the present entry is still to do
  std::vector<Slot> slots_;   // ring
  std::int64_t head_ = 0;
  std::int64_t used_ = 0;
  std::int64_t now_ = 0;
  std::int64_t retired_ = 0;
  std::int64_t finished_at_ = -1;
  std::int64_t memory_access_cycles_ = 0;
  Cycle last_depart_ = 0;
};

}  // namespace moeram
