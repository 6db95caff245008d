#include "moeram/pricing/task_graph.h"

#include <algorithm>

namespace moeram {

GraphTimes run_tasks(std::span<const GraphTask> tasks, std::size_t resources, std::span<const double> durations, std::size_t rows, std::size_t copies) {
  const std::size_t all = rows * copies;
  GraphTimes times{std::vector<double>(tasks.size() * all, 0.0), std::vector<double>(resources * all, 0.0)};
  for (std::size_t number = 0; number < tasks.size(); ++number) {
    const GraphTask& task = tasks[number];
    const auto took = durations.subspan(number * all, all);
    const auto end = std::span(times.end).subspan(number * all, all);
    for (const std::size_t before : task.after) {
      const double* other = times.end.data() + before * all;
      for (std::size_t i = 0; i < all; ++i) end[i] = std::max(end[i], other[i]);
    }
    for (std::size_t first = 0; task.together && first < all; first += copies) {
      const auto row = end.subspan(first, copies);
      std::ranges::fill(row, *std::ranges::max_element(row));
    }
    for (std::size_t i = 0; i < all; ++i) end[i] += took[i];
    if (task.resource < 0) continue;
    double* busy = times.busy.data() + static_cast<std::size_t>(task.resource) * all;
    for (std::size_t i = 0; i < all; ++i) busy[i] += took[i];
  }
  return times;
}

std::vector<double> rows_of(const GraphTimes& times, std::size_t rows, std::size_t copies) {
  const double* last = times.end.data() + times.end.size() - rows * copies;
  std::vector<double> took(rows);
  for (std::size_t row = 0; row < rows; ++row) took[row] = *std::max_element(last + row * copies, last + (row + 1) * copies);
  return took;
}

std::vector<double> interleaved_rows(const GraphTimes& times, std::span<const double> more_busy, std::size_t rows, std::size_t copies) {
  std::vector<double> took = rows_of(times, rows, copies);
  for (double& row : took) row /= 2;
  const std::size_t all = rows * copies;
  for (std::size_t first = 0; first < std::max(times.busy.size(), more_busy.size()); first += all) {
    for (std::size_t i = 0; i < all; ++i) {
      const double busy = first < times.busy.size() ? times.busy[first + i] : 0.0, more = first < more_busy.size() ? more_busy[first + i] : 0.0;
      took[i / copies] = std::max(took[i / copies], busy + more);
    }
  }
  return took;
}

BusyTimes busy_times(const LayerParts& parts, std::size_t copies) {
  const std::size_t all = parts.base.size();
  BusyTimes times{std::vector<double>(all), std::vector<double>(all), std::vector<double>(all), std::vector<double>(all / copies, 0.0)};
  for (std::size_t i = 0; i < all; ++i) {
    times.gpu[i] = parts.base[i] + std::max(parts.load[i], parts.gemm[i]);
    times.memory[i] = parts.attention[i] + parts.experts[i];
    times.slower[i] = std::max(times.gpu[i], times.memory[i]);
    times.fullest[i / copies] = std::max(times.fullest[i / copies], times.slower[i]);
  }
  return times;
}

}  // namespace moeram
