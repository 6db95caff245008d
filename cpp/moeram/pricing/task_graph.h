// Tasks with dependencies and resources, of many independent copies of a graph at once.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace moeram {

// after: earlier tasks that must have ended. resource: a number, or -1: none. together: copies of one row start together.
struct GraphTask {
  std::vector<std::size_t> after;
  int resource = -1;
  bool together = false;
};

struct GraphTimes {
  std::vector<double> end;   // [tasks, rows, copies]
  std::vector<double> busy;  // [resources, rows, copies]
};

// durations: [tasks, rows, copies].
GraphTimes run_tasks(std::span<const GraphTask> tasks, std::size_t resources, std::span<const double> durations, std::size_t rows, std::size_t copies);

// Returns how long each row takes [rows] when two turns of it are under way in turn: no less than half of its longest copy, nor than the busiest resource of
// any copy. more_busy: [lines, rows, copies], time that resources work beside their tasks; a line beyond them is a resource of its own.
std::vector<double> interleaved_rows(const GraphTimes& times, std::span<const double> more_busy, std::size_t rows, std::size_t copies);

// Returns how long the longest copy of each row takes [rows]: until the last task has ended.
std::vector<double> rows_of(const GraphTimes& times, std::size_t rows, std::size_t copies);

// gpu, memory, slower: [rows, copies], what the processor and the memory of a copy do, and the more of both. fullest: [rows], the most of any copy.
struct BusyTimes {
  std::vector<double> gpu, memory, slower, fullest;
};

// base, load, gemm, attention, experts: [rows, copies]; loads run beside products.
struct LayerParts {
  std::span<const double> base, load, gemm, attention, experts;
};
BusyTimes busy_times(const LayerParts& parts, std::size_t copies);

}  // namespace moeram
