#include "moeram/pim/nmp_layer.h"

#include <algorithm>
#include <cmath>

#include "moeram/base/errors.h"

namespace moeram {
namespace {

constexpr std::int64_t kPsumBytes = 4;      // FP32 accumulation (U9)
constexpr std::int64_t kOutputsPerTile = 16;  // width of a tensor-core tile (section 2.2)

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

NmpLayer::NmpLayer(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit, const NmpLayerOptions& options,
                   const std::vector<std::vector<RowPiece>>& layout)
    : spec_(spec), shape_(shape), unit_(unit), options_(options), rows_per_expert_(layout.size()), unit_cycle_(unit.clock_ps / spec.tck_ps) {
  if (unit.clock_ps % spec.tck_ps != 0) {
    throw ConfigError("the unit's clock of " + std::to_string(unit.clock_ps) + " ps is no whole multiple of " + spec.standard + "'s " +
                      std::to_string(spec.tck_ps) + " ps");
  }
  mode_switch_ = to_cycles_up(unit.mode_switch_ns);
  const int channels = options.simulated_channels == 0 ? shape.channels : options.simulated_channels;
  for (int channel = 0; channel < channels; ++channel) {
    channels_.push_back(std::make_unique<NmpChannel>(spec, channel, shape, unit_, layout, options.skip));
    Controller& controller = channels_.back()->controller();
    row_meters_.push_back(std::make_shared<RowMeter>(spec, controller.device()));
    controller.add_listener(row_meters_.back());
  }
}

void NmpLayer::add_listener(int channel, std::shared_ptr<CommandListener> listener) {
  channels_.at(static_cast<std::size_t>(channel))->controller().add_listener(std::move(listener));
}

Cycle NmpLayer::to_cycles_up(double time_ns) const {
  return static_cast<Cycle>(std::ceil(time_ns * 1000.0 / static_cast<double>(spec_.tck_ps) - 1e-9));
}

// Both collectives pass slices both ways around the ring: the farthest processing unit is half the ring away. A hop of a
// step starts when the slice is complete (store and forward, aggregated on the fly in the reduce-scatter).
Cycle NmpLayer::ring_cycles(std::int64_t slice_bytes) const {
  return (shape_.channels / 2) * (ceil_div(slice_bytes, unit_.ring_bytes_per_cycle) + unit_.ring_hop_cycles) * unit_cycle_;
}

Cycle NmpLayer::link_cycles(std::int64_t bytes) const { return to_cycles_up(static_cast<double>(bytes) / unit_.channel_io_gb_per_s); }

void check_capacity(const NmpShape& shape, const NmpUnitOptions& unit, std::int64_t batch, std::int64_t most) {
  const std::int64_t tile = most * kOutputsPerTile * kPsumBytes;
  if (tile > unit.psum_bytes_per_pe / 2) {
    throw CapacityError(std::to_string(most) + " tokens of one expert need " + std::to_string(tile) + " bytes of partial sums per tile; " +
                        std::to_string(unit.psum_bytes_per_pe / 2) + " bytes of a double-buffered processing element hold them");
  }
  // Batch in, Z1, Z2, X2, outputs being reduced (two in flight when the reduction overlaps), FP32 accumulators.
  const std::int64_t activation = shape.bytes_per_activation;
  const std::int64_t need = batch * shape.hidden_size * activation + 3 * most * shape.local_intermediate() * activation +
                            (unit.overlap_reduce_scatter ? 2 : 1) * most * shape.hidden_size * activation +
                            batch * shape.hidden_slice() * kPsumBytes;
  if (need > unit.shared_memory_bytes) {
    throw CapacityError("a batch of " + std::to_string(batch) + " tokens, " + std::to_string(most) + " of them for one expert, needs " +
                        std::to_string(need) + " bytes of a processing unit's shared memory; it has " + std::to_string(unit.shared_memory_bytes));
  }
}

Cycle NmpLayer::input_ready(const LayerTask& task, NmpLayerResult& result) const {
  const std::int64_t slice = task.batch * shape_.hidden_slice() * shape_.bytes_per_activation;
  if (unit_.overlap_all_gather) {
    result.link_in = link_cycles(slice);
    result.all_gather = ring_cycles(slice);
  } else {
    result.link_in = link_cycles(task.batch * shape_.hidden_size * shape_.bytes_per_activation);
  }
  return mode_switch_ + result.link_in + result.all_gather;
}

void NmpLayer::run_experts(const LayerTask& task, Cycle input, NmpLayerResult& result) {
  for (const auto& expert : task.experts) {
    Cycle done = 0;
    for (auto& channel : channels_) {
      channel->run_expert(input);
      done = std::max(done, channel->unit().expert_done());
    }
    const Cycle ring = ring_cycles(expert.tokens * shape_.hidden_slice() * shape_.bytes_per_activation);
    last_reduced_ = ring_.serve(done, ring);
    result.reduce_scatter += ring;
    for (auto& channel : channels_) channel->unit().add_weighted_sum(last_reduced_, expert.tokens);
    if (!unit_.overlap_reduce_scatter) input = last_reduced_;
  }
}

Cycle NmpLayer::finish(const LayerTask& task, NmpLayerResult& result) {
  const std::int64_t bytes = task.batch * shape_.hidden_slice() * shape_.bytes_per_activation;
  const auto rows = static_cast<int>(shape_.result_rows(task.batch));
  Cycle end = 0;
  for (auto& channel : channels_) {
    const Cycle summed = channel->unit().finish_sums(unit_.overlap_weighted_sum ? 0 : last_reduced_);
    end = std::max(end, channel->write_rows(options_.result_row, rows, summed));
  }
  result.link_out = link_cycles(bytes);
  return end + mode_switch_ + result.link_out;
}

NmpLayerResult NmpLayer::run(const LayerTask& task) {
  if (task.experts.empty()) throw EngineError("a layer without any active expert has nothing to run");
  std::int64_t most = 0;
  for (const auto& expert : task.experts) most = std::max<std::int64_t>(most, expert.tokens);
  check_capacity(shape_, unit_, task.batch, most);
  NmpLayerResult result;
  for (auto& channel : channels_) {
    channel->begin_at(mode_switch_);
    for (const auto& expert : task.experts) channel->add_expert(expert);
  }
  run_experts(task, input_ready(task, result), result);
  result.duration = finish(task, result);
  collect(result);
  return result;
}

void NmpLayer::collect(NmpLayerResult& result) {
  const NmpUnit& unit = channels_[0]->unit();
  result.tensor = unit.tensor().busy;
  result.reducer = unit.reducer().busy;
  result.weighted_sum = unit.weighted_sum_busy();
  result.special_functions = unit.special_functions().busy - unit.weighted_sum_busy();
  result.mac_bytes_over_all_banks = channels_[0]->mac_bytes_over_all_banks();
  result.class_time = row_meters_[0]->class_time(channels_[0]->controller().now());
  result.commands.assign(spec_.commands.size(), 0);
  for (int channel = 0; channel < shape_.channels; ++channel) {
    // A channel that was not simulated did what channel 0 did.
    const auto source = static_cast<std::size_t>(channel) < channels_.size() ? static_cast<std::size_t>(channel) : 0;
    const auto& meter = *row_meters_[source];
    result.rows_read.insert(result.rows_read.end(), meter.rows_read().begin(), meter.rows_read().end());
    result.rows_written.insert(result.rows_written.end(), meter.rows_written().begin(), meter.rows_written().end());
    const auto& issued = channels_[source]->controller().issued();
    for (std::size_t i = 0; i < issued.size(); ++i) result.commands[i] += issued[i];
  }
}

}  // namespace moeram
