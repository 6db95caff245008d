#include "moeram/pricing/token_groups.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iterator>
#include <numeric>
#include <string>

#include "moeram/base/errors.h"

namespace moeram {
namespace {

constexpr std::size_t kBits = 64;
// Neighbours often have equally many tokens: each of them counts in a place of its own, so that none waits for the one before.
constexpr std::size_t kCounters = 4;
using Counters = std::array<std::int32_t, kCounters>;
constexpr std::size_t kCacheLine = 64;

}  // namespace

template <typename Number>
void count_lines(std::span<const Number> pool, std::size_t columns, std::span<const std::int64_t> chosen, std::span<std::int64_t> counts) {
  const std::size_t lines = pool.size() / columns, experts = counts.size();
  for (const std::int64_t line : chosen) {
    if (line < 0 || static_cast<std::size_t>(line) >= lines) {
      throw EngineError("count_lines: no line " + std::to_string(line) + " among " + std::to_string(lines));
    }
  }
  std::vector<std::int32_t> found(experts, 0);  // half as much to hold at hand
  for (std::size_t i = 0; i < chosen.size(); ++i) {
#if defined(__GNUC__)
    // Lines lie anywhere in the pool: the next one is on its way while this one is counted.
    if (i + 1 < chosen.size()) {
      const Number* next = pool.data() + static_cast<std::size_t>(chosen[i + 1]) * columns;
      for (std::size_t at = 0; at < columns; at += kCacheLine / sizeof(Number)) __builtin_prefetch(next + at);
    }
#endif
    for (const Number expert : pool.subspan(static_cast<std::size_t>(chosen[i]) * columns, columns)) {
      if (expert >= experts) throw EngineError("count_lines: no expert " + std::to_string(expert) + " among " + std::to_string(experts));
      ++found[expert];
    }
  }
  for (std::size_t expert = 0; expert < experts; ++expert) counts[expert] += found[expert];
}

template void count_lines(std::span<const std::uint8_t>, std::size_t, std::span<const std::int64_t>, std::span<std::int64_t>);
template void count_lines(std::span<const std::uint16_t>, std::size_t, std::span<const std::int64_t>, std::span<std::int64_t>);
template void count_lines(std::span<const std::uint32_t>, std::size_t, std::span<const std::int64_t>, std::span<std::int64_t>);

TokenGroups group_tokens(std::span<const std::int64_t> tokens, std::size_t experts) {
  TokenGroups groups;
  std::int64_t bits = 0;
  for (const std::int64_t count : tokens) bits |= count;
  if (bits < 0) throw EngineError("an expert has fewer than 0 tokens");
  const std::size_t counts = std::bit_ceil(static_cast<std::size_t>(bits) + 1);
  std::vector<Counters> found(counts, Counters{});
  std::vector<std::uint64_t> used(counts / kBits + 1, 0);
  groups.tokens.reserve(tokens.size());
  groups.experts.reserve(tokens.size());
  for (std::size_t row = 0; row < tokens.size(); row += experts) {
    std::int64_t total = 0;
    std::uint64_t few = 0;  // the first word of `used`, at hand
    for (std::size_t expert = row; expert < row + experts; ++expert) {
      const auto count = static_cast<std::size_t>(tokens[expert]);
      total += tokens[expert];
      ++found[count][expert % kCounters];
      if (count < kBits) {
        few |= std::uint64_t{1} << count;
      } else {
        used[count / kBits] |= std::uint64_t{1} << (count % kBits);
      }
    }
    found[0].fill(0);
    used[0] = few & ~std::uint64_t{1};
    for (std::size_t word = 0; word < used.size(); ++word) {
      for (; used[word]; used[word] &= used[word] - 1) {
        const std::size_t count = word * kBits + static_cast<std::size_t>(std::countr_zero(used[word]));
        groups.tokens.push_back(static_cast<std::int64_t>(count));
        groups.experts.push_back(std::accumulate(found[count].begin(), found[count].end(), std::int64_t{0}));
        found[count].fill(0);
      }
    }
    groups.most = std::max(groups.most, groups.begin.back() == std::ssize(groups.tokens) ? 0 : groups.tokens.back());
    groups.begin.push_back(std::ssize(groups.tokens));
    groups.total.push_back(total);
  }
  return groups;
}

RowTotals row_totals(std::span<const std::int64_t> tokens, std::size_t experts) {
  RowTotals totals;
  for (std::size_t row = 0; row < tokens.size(); row += experts) {
    std::int64_t all = 0, used = 0;
    for (const std::int64_t count : tokens.subspan(row, experts)) {
      all += count;
      used += count > 0;
    }
    totals.tokens.push_back(static_cast<double>(all));
    totals.used.push_back(static_cast<double>(used));
  }
  return totals;
}

std::vector<std::int64_t> chain_ends(const GroupsView& groups, std::span<const std::int64_t> kept, std::span<std::int64_t> lengths) {
  std::vector<std::int64_t> ends(kept.size());
  for (std::size_t row = 0; row < groups.rows(); ++row) {
    std::int64_t& length = lengths[row % lengths.size()];
    for (std::size_t group = groups.first(row); group < groups.end(row); ++group) ends[group] = length += kept[group] * groups.tokens[group];
  }
  return ends;
}

KeptGroups kept_groups(std::span<const std::int64_t> tokens, std::span<const std::int64_t> kept, std::span<const double> kept_ps) {
  KeptGroups found;
  found.tokens.reserve(tokens.size());
  found.each_ps.reserve(tokens.size());
  for (std::size_t group = 0; group < tokens.size(); ++group) {
    if (!kept[group]) continue;
    found.tokens.push_back(tokens[group]);
    found.each_ps.push_back(kept_ps[group] / static_cast<double>(kept[group]));
  }
  return found;
}

void learn(std::span<double> table, std::span<const std::int64_t> tokens, std::span<const double> measured_ps, double weight) {
  if (tokens.empty()) return;
  // The table may be far longer than a step's tokens.
  const auto counts = static_cast<std::size_t>(*std::ranges::max_element(tokens)) + 1;
  std::vector<double> sum(counts, 0.0), times(counts, 0.0);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto at = static_cast<std::size_t>(tokens[i]);
    sum[at] += measured_ps[i];
    times[at] += 1.0;
  }
  for (std::size_t at = 0; at < counts; ++at) {
    if (times[at] == 0.0) continue;
    const double mean = sum[at] / times[at];
    table[at] = std::isnan(table[at]) ? mean : (1.0 - weight) * table[at] + weight * mean;
  }
}

}  // namespace moeram
