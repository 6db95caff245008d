#include "moeram/pim/nmp_attention.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "moeram/base/errors.h"
#include "moeram/pim/attention_channel.h"
#include "moeram/pim/row_meter.h"

namespace moeram {
namespace {

constexpr std::int64_t kPsumBytes = 4;        // FP32 accumulation (U9)
constexpr std::int64_t kOutputsPerTile = 16;  // width of a tensor-core tile (section 2.2)
constexpr std::int64_t kHeadsInFlight = 2;

void require(bool holds, const std::string& what) {
  if (!holds) throw ConfigError(what);
}

// One group of units at work on its heads.
class Group {
 public:
  Group(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit, const AttentionTask& task, const AttentionOptions& options,
        const std::vector<AttentionHead>& heads)
      : spec_(spec), shape_(shape), unit_(unit), task_(task), options_(options), heads_(heads), unit_cycle_(unit.clock_ps / spec.tck_ps) {
    for (int i = 0; i < task.units_per_group; ++i) {
      channels_.push_back(std::make_unique<AttentionChannel>(spec, i, shape, unit, options.skip));
      auto& controller = channels_.back()->controller();
      meters_.push_back(std::make_shared<RowMeter>(spec, controller.device()));
      controller.add_listener(meters_.back());
    }
    softmax_done_.assign(heads.size(), std::vector<Cycle>(channels_.size(), 0));
    for (std::size_t head = 0; head < heads.size(); ++head) {
      order_.push_back({head, false});
      if (!options.overlap_softmax) order_.push_back({head, true});
      if (options.overlap_softmax && head > 0) order_.push_back({head - 1, true});
    }
    if (options.overlap_softmax) order_.push_back({heads.size() - 1, true});
  }

  AttentionResult run();

 private:
  struct Pass {
    std::size_t head;
    bool values;
  };
  int units() const { return task_.units_per_group; }
  std::int64_t token_bytes() const { return std::int64_t{task_.head_size} * task_.bytes_per_value; }
  std::int64_t tokens_per_row() const { return shape_.banks_per_channel * (shape_.row_bytes / token_bytes()); }
  std::int64_t tokens_of(std::int64_t tokens, int unit) const { return (tokens - unit + units() - 1) / units(); }
  std::int64_t output_slice() const { return ceil_div(std::int64_t{task_.queries_per_head} * task_.head_size, units()) * shape_.bytes_per_activation; }
  Cycle ring(std::int64_t slice_bytes) const;
  Cycle cycles_up(double time_ns) const { return static_cast<Cycle>(std::ceil(time_ns * 1000.0 / static_cast<double>(spec_.tck_ps) - 1e-9)); }
  Cycle link(std::int64_t bytes) const { return cycles_up(static_cast<double>(bytes) / unit_.channel_io_gb_per_s); }
  Cycle vectors(std::int64_t elements, int cycles) const { return ceil_div(elements, unit_.sfe_lanes) * cycles * unit_cycle_; }
  CachePass pass(const AttentionHead& head, std::int32_t first_row, int unit) const;
  void begin(AttentionResult& result);
  void write_new_tokens(const AttentionHead& head, int unit, Cycle arrived);
  void keys(std::size_t head, AttentionResult& result);
  void softmax(std::size_t head, const std::vector<Cycle>& scored, AttentionResult& result);
  Cycle special(std::size_t unit, Cycle ready, Cycle duration, AttentionResult& result);
  void values(std::size_t head, AttentionResult& result);
  void collect(AttentionResult& result) const;

  const Spec& spec_;
  const NmpShape& shape_;
  const NmpUnitOptions& unit_;
  const AttentionTask& task_;
  const AttentionOptions& options_;
  const std::vector<AttentionHead>& heads_;
  Cycle unit_cycle_;
  std::vector<Pass> order_;
  Cycle queries_here_ = 0;
  Cycle reduced_ = 0;
  ServiceQueue ring_;  // this group's part of the ring
  std::vector<std::unique_ptr<AttentionChannel>> channels_;
  std::vector<std::shared_ptr<RowMeter>> meters_;
  std::vector<std::vector<Cycle>> softmax_done_;  // [head][unit]
};

// All units pass a slice to all others: both ways around a whole ring, from end to end of a part of it.
Cycle Group::ring(std::int64_t slice_bytes) const {
  const int steps = units() == shape_.channels ? units() / 2 : units() - 1;
  return steps * (ceil_div(slice_bytes, unit_.ring_bytes_per_cycle) + unit_.ring_hop_cycles) * unit_cycle_;
}

CachePass Group::pass(const AttentionHead& head, std::int32_t first_row, int unit) const {
  CachePass pass{first_row, {}, token_bytes(), task_.queries_per_head};
  for (std::int64_t left = tokens_of(head.tokens, unit); left > 0; left -= tokens_per_row()) {
    pass.tokens.push_back(std::min(left, tokens_per_row()));
  }
  return pass;
}

// The rows that take a unit's new tokens: they follow those it has.
void Group::write_new_tokens(const AttentionHead& head, int unit, Cycle arrived) {
  const std::int64_t before = tokens_of(head.tokens - head.new_tokens, unit), after = tokens_of(head.tokens, unit);
  if (before == after) return;
  for (const std::int32_t first : {head.value_row, head.key_row}) {
    for (std::int64_t row = before / tokens_per_row(); row <= (after - 1) / tokens_per_row(); ++row) {
      channels_[static_cast<std::size_t>(unit)]->write_row(first + static_cast<std::int32_t>(row), arrived);
    }
  }
}

void Group::begin(AttentionResult& result) {
  const auto heads = static_cast<std::int64_t>(heads_.size());
  const std::int64_t slice = heads * output_slice();  // queries are as large as outputs
  const Cycle start = cycles_up(unit_.mode_switch_ns);
  for (int unit = 0; unit < units(); ++unit) {
    AttentionChannel& channel = *channels_[static_cast<std::size_t>(unit)];
    std::int64_t bytes = slice;
    for (const auto& head : heads_) {
      const std::int64_t tokens = tokens_of(head.tokens, unit) - tokens_of(head.tokens - head.new_tokens, unit);
      bytes += 2 * tokens * token_bytes();
      result.tokens_written[static_cast<std::size_t>(unit)] += tokens;
    }
    result.link_in = std::max(result.link_in, link(bytes));
    result.link_bytes += bytes + slice;
    channel.begin_at(start);
    // Backwards, so that the row which is read first is open when all are written.
    for (auto head = heads_.rbegin(); head != heads_.rend(); ++head) write_new_tokens(*head, unit, start + link(bytes));
    for (const auto& [head, values] : order_) {
      channel.add_pass(pass(heads_[head], values ? heads_[head].value_row : heads_[head].key_row, unit));
    }
  }
  result.all_gather = ring(slice);
  queries_here_ = ring_.serve(start + result.link_in, result.all_gather);
}

void Group::keys(std::size_t head, AttentionResult& result) {
  std::vector<Cycle> scored;
  for (auto& channel : channels_) scored.push_back(channel->run_pass(std::max(queries_here_, unit_.overlap_reduce_scatter ? 0 : reduced_)));
  softmax(head, scored, result);
}

Cycle Group::special(std::size_t unit, Cycle ready, Cycle duration, AttentionResult& result) {
  if (unit == 0) result.softmax += duration;
  return channels_[unit]->special.serve(ready, duration);
}

// Local maximum, exchange; local exp and sum, exchange; normalisation.
void Group::softmax(std::size_t head, const std::vector<Cycle>& scored, AttentionResult& result) {
  const std::int64_t queries = task_.queries_per_head;
  const Cycle exchange = ring(queries * shape_.bytes_per_activation);
  const auto scores = [&](std::size_t unit) { return queries * tokens_of(heads_[head].tokens, static_cast<int>(unit)); };
  Cycle together = 0;
  for (std::size_t unit = 0; unit < channels_.size(); ++unit) {
    together = std::max(together, special(unit, scored[unit], vectors(scores(unit), unit_.maximum_cycles_per_vector), result));
  }
  const Cycle maximum = ring_.serve(together, exchange);
  together = 0;
  for (std::size_t unit = 0; unit < channels_.size(); ++unit) {
    together = std::max(together, special(unit, maximum, vectors(scores(unit), unit_.exp_sum_cycles_per_vector), result));
  }
  const Cycle sum = ring_.serve(together, exchange);
  for (std::size_t unit = 0; unit < channels_.size(); ++unit) {
    const Cycle scale = vectors(queries, unit_.reciprocal_cycles_per_vector) + vectors(scores(unit), unit_.hadamard_cycles_per_vector);
    softmax_done_[head][unit] = special(unit, sum, scale, result);
  }
  result.exchange += 2 * exchange;
}

void Group::values(std::size_t head, AttentionResult& result) {
  const std::int64_t outputs = std::int64_t{task_.queries_per_head} * task_.head_size;
  const Cycle reduce = ceil_div(outputs, unit_.reducer_outputs_per_cycle) * unit_cycle_;
  Cycle partial = 0;
  for (std::size_t unit = 0; unit < channels_.size(); ++unit) {
    const Cycle end = channels_[unit]->run_pass(softmax_done_[head][unit]);
    partial = std::max(partial, channels_[unit]->reducer.serve(end, reduce));
  }
  const Cycle scatter = ring(output_slice());
  reduced_ = ring_.serve(partial, scatter);
  result.reduce_scatter += scatter;
}

void Group::collect(AttentionResult& result) const {
  for (std::size_t unit = 0; unit < channels_.size(); ++unit) {
    for (std::size_t i = 0; i < spec_.classes.size(); ++i) {
      result.rows_read[i] += meters_[unit]->rows_read()[i];
      result.rows_written[i] += meters_[unit]->rows_written()[i];
    }
    result.tokens_read[unit] = channels_[unit]->tokens_streamed / 2;
    result.macs += channels_[unit]->tokens_streamed * task_.head_size * task_.queries_per_head;
  }
  result.tensor = channels_[0]->tensor.busy;
  result.reducer = channels_[0]->reducer.busy;
}

AttentionResult Group::run() {
  AttentionResult result;
  result.rows_read.assign(spec_.classes.size(), 0);
  result.rows_written = result.rows_read;
  result.tokens_read.assign(channels_.size(), 0);
  result.tokens_written = result.tokens_read;
  begin(result);
  for (const auto& [head, values_next] : order_) {
    if (values_next) {
      values(head, result);
    } else {
      keys(head, result);
    }
  }
  const std::int64_t bytes = static_cast<std::int64_t>(heads_.size()) * output_slice();
  const auto rows = static_cast<int>(ceil_div(bytes, shape_.banks_per_channel * shape_.row_bytes));
  Cycle end = 0;
  for (auto& channel : channels_) {
    for (int row = 0; row < rows; ++row) end = std::max(end, channel->write_row(options_.result_row + row, reduced_));
  }
  result.link_out = link(bytes);
  result.duration = end + cycles_up(unit_.mode_switch_ns) + result.link_out;
  collect(result);
  return result;
}

// What of a group's heads decides its times: tokens and the latency classes of the rows.
std::vector<std::int64_t> kind_of(const Spec& spec, const std::vector<AttentionHead>& heads, std::int64_t rows_of_a_token_count) {
  std::vector<std::int64_t> kind;
  for (const auto& head : heads) {
    kind.insert(kind.end(), {head.tokens, head.new_tokens});
    for (const std::int32_t first : {head.key_row, head.value_row}) {
      const std::int64_t rows = ceil_div(head.tokens, rows_of_a_token_count);
      for (const auto& item : spec.classes) {
        kind.push_back(std::max<std::int64_t>(0, std::min<std::int64_t>(first + rows, item.row_end) - std::max<std::int64_t>(first, item.row_begin)));
      }
    }
  }
  return kind;
}

void check(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit, const AttentionTask& task, const AttentionOptions& options) {
  const int group = task.units_per_group;
  require(group >= 1 && shape.channels % group == 0,
          "groups of " + std::to_string(group) + " units do not divide a chip of " + std::to_string(shape.channels));
  require(task.queries_per_head >= 1 && task.head_size >= 1 && task.bytes_per_value >= 1, "attention needs positive queries, head_size and bytes_per_value");
  require(static_cast<int>(task.groups.size()) == shape.chips * (shape.channels / group), "attention needs the heads of every group of every chip");
  const std::int64_t token = std::int64_t{task.head_size} * task.bytes_per_value;
  require(token <= shape.row_bytes, "a token's key of " + std::to_string(token) + " bytes is larger than a row");
  const std::int64_t rows = spec.counts[static_cast<std::size_t>(spec.row_level)];
  const std::int64_t tokens_of_a_row = shape.banks_per_channel * (shape.row_bytes / token) * group;
  const std::int64_t tile = task.queries_per_head * kOutputsPerTile * kPsumBytes;
  if (tile > unit.psum_bytes_per_pe / 2) throw CapacityError(std::to_string(task.queries_per_head) + " queries of one head overflow the partial sums");
  const std::int64_t activation = shape.bytes_per_activation;
  for (const auto& heads : task.groups) {
    std::int64_t most = 0;
    for (const auto& head : heads) {
      require(head.tokens >= 1 && head.new_tokens >= 0 && head.new_tokens <= head.tokens, "a head attends to at least one token, its new ones among them");
      most = std::max(most, head.tokens);
      const std::int64_t length = ceil_div(head.tokens, tokens_of_a_row);
      for (const std::int64_t first : {head.key_row, head.value_row}) {
        if (first < 0 || first + length > rows || (first < options.result_row + 1 && options.result_row < first + length)) {
          throw CapacityError("a cache at rows " + std::to_string(first) + " to " + std::to_string(first + length - 1) + " does not fit beside the results at row " +
                              std::to_string(options.result_row) + " of " + std::to_string(rows));
        }
      }
    }
    const std::int64_t vectors = static_cast<std::int64_t>(heads.size()) * task.queries_per_head * task.head_size * activation;
    const std::int64_t need = 2 * vectors + kHeadsInFlight * task.queries_per_head * ceil_div(most, group) * activation;
    if (need > unit.shared_memory_bytes) {
      throw CapacityError("queries, outputs and scores of " + std::to_string(most) + " tokens need " + std::to_string(need) +
                          " bytes of a processing unit's shared memory; it has " + std::to_string(unit.shared_memory_bytes));
    }
  }
}

void add(std::vector<std::int64_t>& sum, const std::vector<std::int64_t>& more) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
}

AttentionResult no_work(const Spec& spec, int units) {
  AttentionResult none;
  none.rows_read = none.rows_written = std::vector<std::int64_t>(spec.classes.size(), 0);
  none.tokens_read = none.tokens_written = std::vector<std::int64_t>(static_cast<std::size_t>(units), 0);
  return none;
}

// Groups run side by side: the last one to end gives the times, all of them the counts.
AttentionResult together(const Spec& spec, const std::vector<const AttentionResult*>& groups) {
  AttentionResult sum = no_work(spec, 0);
  const AttentionResult* slowest = groups[0];
  for (const auto* group : groups) {
    if (group->duration > slowest->duration) slowest = group;
    add(sum.rows_read, group->rows_read);
    add(sum.rows_written, group->rows_written);
    sum.macs += group->macs;
    sum.link_bytes += group->link_bytes;
    sum.tokens_read.insert(sum.tokens_read.end(), group->tokens_read.begin(), group->tokens_read.end());
    sum.tokens_written.insert(sum.tokens_written.end(), group->tokens_written.begin(), group->tokens_written.end());
  }
  AttentionResult result = *slowest;
  result.rows_read = std::move(sum.rows_read);
  result.rows_written = std::move(sum.rows_written);
  result.tokens_read = std::move(sum.tokens_read);
  result.tokens_written = std::move(sum.tokens_written);
  result.macs = sum.macs;
  result.link_bytes = sum.link_bytes;
  return result;
}

}  // namespace

AttentionResult run_attention(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit, const AttentionTask& task,
                              const AttentionOptions& options) {
  check(spec, shape, unit, task, options);
  const std::int64_t token_bytes = std::int64_t{task.head_size} * task.bytes_per_value;
  const std::int64_t tokens_of_a_row = shape.banks_per_channel * (shape.row_bytes / token_bytes) * task.units_per_group;
  const AttentionResult idle = no_work(spec, task.units_per_group);
  std::map<std::vector<std::int64_t>, AttentionResult> known;
  std::vector<const AttentionResult*> groups;
  for (const auto& heads : task.groups) {
    if (heads.empty()) {
      groups.push_back(&idle);
      continue;
    }
    auto kind = kind_of(spec, heads, tokens_of_a_row);
    if (!options.reuse_identical_groups) kind.push_back(static_cast<std::int64_t>(groups.size()));
    auto [found, is_new] = known.try_emplace(std::move(kind));
    if (is_new) found->second = Group(spec, shape, unit, task, options, heads).run();
    groups.push_back(&found->second);
  }
  AttentionResult result = together(spec, groups);
  if (result.duration == 0) throw EngineError("attention without any head has nothing to run");
  return result;
}

}  // namespace moeram
