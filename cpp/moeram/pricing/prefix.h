// Prefixes of the experts by tokens: the most used go to the GPU, the others stay in the memory that computes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeram/pricing/token_groups.h"

namespace moeram {

// What an expert with t tokens adds, entry t: to the GPU's memory and compute time, and to that of the memory side.
struct ExpertTables {
  std::span<const double> gpu_memory, gpu_compute, memory;
};

// What each row takes beside its experts [rows].
struct RowTimes {
  std::span<const double> gpu_memory, gpu_compute, attention, comm;
};

// Returns how many experts of each group stay with the memory [groups]: the greedy prefix on max(comm, GPU, memory), the most tokens first. Of moves that
// change nothing those are taken while the memory side is what one waits for.
std::vector<std::int64_t> greedy_prefix(const GroupsView& groups, const ExpertTables& costs, const RowTimes& rows);

// As `greedy_prefix`, from the other end: all on the GPU, and the fewest tokens come to the memory while max(GPU, memory) falls with each; what is queued on
// the memory side and transfers do not count.
std::vector<std::int64_t> few_to_memory(const GroupsView& groups, const ExpertTables& costs, const RowTimes& rows);

// All in memory, and the most tokens go to the GPU while the GPU's experts do not take longer than the memory's; the move that makes them stays.
std::vector<std::int64_t> many_to_gpu(const GroupsView& groups, const ExpertTables& costs);

struct RowSums {
  std::vector<double> gpu_memory, gpu_compute, memory;  // [rows]
};

// Returns what the experts of each row take: on the GPU those that did not stay, by the tables; in memory group_ps [groups].
RowSums sum_rows(const GroupsView& groups, std::span<const std::int64_t> kept, std::span<const double> gpu_memory, std::span<const double> gpu_compute,
                 std::span<const double> group_ps);

}  // namespace moeram
