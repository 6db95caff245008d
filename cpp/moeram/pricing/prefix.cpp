#include "moeram/pricing/prefix.h"

#include <algorithm>

namespace moeram {
namespace {

struct State {
  double gpu_memory, gpu_compute, memory;

  double slowest(double comm) const { return std::max(std::max(std::max(gpu_memory, gpu_compute), memory), comm); }
};

bool helps(const State& before, const State& after, double comm) {
  const double was = before.slowest(comm), now = after.slowest(comm);
  return now < was || (now == was && before.memory > comm);
}

struct Row {
  const GroupsView& groups;
  const ExpertTables& costs;
  std::size_t begin, end;
  State base;  // behind all moves that are summed in it
  double comm;

  State cost(std::size_t group) const {
    const auto tokens = static_cast<std::size_t>(groups.tokens[group]);
    return {costs.gpu_memory[tokens], costs.gpu_compute[tokens], costs.memory[tokens]};
  }
};

// Experts of equal tokens cost the same, so that along them the GPU's time is convex and the memory side's falls: once a move does not help, the next of
// its group does not either. A group is passed if its last move helps, and only one group is walked through.
void keep(const Row& row, std::span<std::int64_t> kept) {
  State moved{0, 0, 0};
  for (std::size_t group = row.end; group-- > row.begin;) {
    const State each = row.cost(group);
    const auto size = static_cast<double>(row.groups.experts[group]);
    moved = {moved.gpu_memory + size * each.gpu_memory, moved.gpu_compute + size * each.gpu_compute, moved.memory + size * -each.memory};
    const State after{moved.gpu_memory + row.base.gpu_memory, moved.gpu_compute + row.base.gpu_compute, moved.memory + row.base.memory};
    const State before{after.gpu_memory - each.gpu_memory, after.gpu_compute - each.gpu_compute, after.memory + each.memory};
    if (helps(before, after, row.comm)) {
      kept[group] = 0;
      continue;
    }
    const State start{after.gpu_memory - size * each.gpu_memory, after.gpu_compute - size * each.gpu_compute, after.memory - size * -each.memory};
    const auto at = [&](std::int64_t move) {
      const auto n = static_cast<double>(move);
      return State{start.gpu_memory + n * each.gpu_memory, start.gpu_compute + n * each.gpu_compute, start.memory + n * -each.memory};
    };
    std::int64_t gone = 0;
    while (gone < row.groups.experts[group] - 1 && helps(at(gone), at(gone + 1), row.comm)) ++gone;  // the last is known not to help
    kept[group] = row.groups.experts[group] - gone;
    for (std::size_t less = row.begin; less < group; ++less) kept[less] = row.groups.experts[less];
    return;
  }
}

// Times of the experts of a row that have moved to the GPU, the most tokens first, entry k behind k moves.
std::vector<State> moves_of(const GroupsView& groups, const ExpertTables& costs, std::size_t row) {
  std::vector<State> moves{{0, 0, 0}};
  for (std::size_t group = groups.end(row); group-- > groups.first(row);) {
    const auto tokens = static_cast<std::size_t>(groups.tokens[group]);
    for (std::int64_t expert = 0; expert < groups.experts[group]; ++expert) {
      const State last = moves.back();
      moves.push_back({last.gpu_memory + costs.gpu_memory[tokens], last.gpu_compute + costs.gpu_compute[tokens], last.memory + costs.memory[tokens]});
    }
  }
  return moves;
}

// The experts that stay when so many of a row have moved.
void keep_behind(const GroupsView& groups, std::size_t row, std::size_t moved, std::span<std::int64_t> kept) {
  auto left = static_cast<std::int64_t>(moved);
  for (std::size_t group = groups.end(row); group-- > groups.first(row);) {
    const std::int64_t gone = std::min(left, groups.experts[group]);
    kept[group] = groups.experts[group] - gone;
    left -= gone;
  }
}

}  // namespace

std::vector<std::int64_t> few_to_memory(const GroupsView& groups, const ExpertTables& costs, const RowTimes& rows) {
  std::vector<std::int64_t> kept(groups.tokens.size());
  for (std::size_t row = 0; row < groups.rows(); ++row) {
    const auto moves = moves_of(groups, costs, row);
    const auto time = [&](std::size_t moved) {
      const State& gone = moves[moved];
      const double gpu = std::max(rows.gpu_memory[row] + gone.gpu_memory, rows.gpu_compute[row] + gone.gpu_compute);
      return std::max(gpu, std::max(moves.back().memory - gone.memory, 0.0));
    };
    std::size_t moved = moves.size() - 1;
    while (moved > 0 && time(moved - 1) < time(moved)) --moved;
    keep_behind(groups, row, moved, kept);
  }
  return kept;
}

std::vector<std::int64_t> many_to_gpu(const GroupsView& groups, const ExpertTables& costs) {
  std::vector<std::int64_t> kept(groups.tokens.size());
  for (std::size_t row = 0; row < groups.rows(); ++row) {
    const auto moves = moves_of(groups, costs, row);
    std::size_t moved = 0;
    while (moved + 1 < moves.size() && std::max(moves[moved].gpu_memory, moves[moved].gpu_compute) <= moves.back().memory - moves[moved].memory) ++moved;
    keep_behind(groups, row, moved, kept);
  }
  return kept;
}

std::vector<std::int64_t> greedy_prefix(const GroupsView& groups, const ExpertTables& costs, const RowTimes& rows) {
  std::vector<std::int64_t> kept(groups.tokens.size());
  for (std::size_t r = 0; r < groups.rows(); ++r) {
    Row row{groups, costs, groups.first(r), groups.end(r), {rows.gpu_memory[r], rows.gpu_compute[r], 0}, rows.comm[r]};
    double all = 0;  // in the order of the moves, so that nothing is left of it when all have gone
    for (std::size_t group = row.end; group-- > row.begin;) all += static_cast<double>(groups.experts[group]) * row.cost(group).memory;
    row.base.memory = rows.attention[r] + all;
    keep(row, kept);
  }
  return kept;
}

RowSums sum_rows(const GroupsView& groups, std::span<const std::int64_t> kept, std::span<const double> gpu_memory, std::span<const double> gpu_compute,
                 std::span<const double> group_ps) {
  const std::vector<double> nothing(groups.rows(), 0.0);
  RowSums sums{nothing, nothing, nothing};
  for (std::size_t row = 0; row < groups.rows(); ++row) {
    for (std::size_t group = groups.first(row); group < groups.end(row); ++group) {
      const auto gone = static_cast<double>(groups.experts[group] - kept[group]);
      const auto tokens = static_cast<std::size_t>(groups.tokens[group]);
      sums.gpu_memory[row] += gone * gpu_memory[tokens];
      sums.gpu_compute[row] += gone * gpu_compute[tokens];
      sums.memory[row] += group_ps[group];
    }
  }
  return sums;
}

}  // namespace moeram
