// Which experts the tokens of a step use, of many decisions (a layer on a GPU: a row) at once. Experts of equal tokens cost the same: they are a group.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moeram {

struct TokenGroups {
  std::vector<std::int64_t> begin{0};  // [rows + 1], where the groups of each row begin
  std::vector<std::int64_t> tokens;    // [groups], above 0, ascending within a row
  std::vector<std::int64_t> experts;   // [groups], how many have so many tokens
  std::vector<std::int64_t> total;     // [rows], tokens of all experts
  std::int64_t most = 0;               // of any expert
};

// Adds one to counts[expert] for each entry of the chosen lines of a pool of routed tokens [lines, columns], whose experts are numbered over all layers.
template <typename Number>
void count_lines(std::span<const Number> pool, std::size_t columns, std::span<const std::int64_t> chosen, std::span<std::int64_t> counts);

// tokens: [rows, experts]; those without tokens belong to no group.
TokenGroups group_tokens(std::span<const std::int64_t> tokens, std::size_t experts);

// Tokens of each row of experts, and how many experts have any.
struct RowTotals {
  std::vector<double> tokens, used;
};
RowTotals row_totals(std::span<const std::int64_t> tokens, std::size_t experts);

// The groups of n rows, wherever they are kept.
struct GroupsView {
  std::span<const std::int64_t> begin, tokens, experts;

  std::size_t rows() const { return begin.size() - 1; }
  std::size_t first(std::size_t row) const { return static_cast<std::size_t>(begin[row]); }
  std::size_t end(std::size_t row) const { return static_cast<std::size_t>(begin[row + 1]); }
};

// Returns where each group ends in the chain of tokens that pass through its kept experts: row r is of chain r modulo lengths.size(), which are returned too.
std::vector<std::int64_t> chain_ends(const GroupsView& groups, std::span<const std::int64_t> kept, std::span<std::int64_t> lengths);

// The tokens of groups of which some experts are kept, and what one of them takes.
struct KeptGroups {
  std::vector<std::int64_t> tokens;
  std::vector<double> each_ps;
};
KeptGroups kept_groups(std::span<const std::int64_t> tokens, std::span<const std::int64_t> kept, std::span<const double> kept_ps);

// Moves the entries of a table of times by tokens (NaN: not known yet) to the mean of what was measured for them, by `weight`; what was not known is the mean.
void learn(std::span<double> table, std::span<const std::int64_t> tokens, std::span<const double> measured_ps, double weight);

}  // namespace moeram
