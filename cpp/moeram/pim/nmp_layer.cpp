#include "moeram/pim/nmp_layer.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {
namespace {

constexpr std::int64_t kPsumBytes = 4;      // FP32 accumulation (U9)
constexpr std::int64_t kOutputsPerTile = 16;  // width of a tensor-core tile (section 2.2)

}  // namespace

NmpLayer::NmpLayer(const NmpLayerParts& parts)
    : parts_(parts), ways_(parts.spec, parts.shape, parts.unit), frame_(parts.spec, parts.spec.bank_level) {
  const auto& [spec, shape, unit, options, layout] = parts;
  const int channels = options.simulated_channels == 0 ? shape.channels : options.simulated_channels;
  for (int channel = 0; channel < channels; ++channel) {
    channels_.push_back(std::make_unique<NmpChannel>(spec, channel, shape, unit, layout, options.skip));
    Controller& controller = channels_.back()->controller();
    row_meters_.push_back(std::make_shared<RowMeter>(spec, controller.device()));
    controller.add_listener(row_meters_.back());
  }
}

void NmpLayer::add_listener(int channel, std::shared_ptr<CommandListener> listener) {
  channels_.at(static_cast<std::size_t>(channel))->controller().add_listener(std::move(listener));
}

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

void check_capacity(const NmpShape& shape, const NmpUnitOptions& unit, const LayerTask& task) {
  if (task.experts.empty()) throw EngineError("a layer without any active expert has nothing to run");
  std::int64_t most = 0;
  for (const auto& expert : task.experts) most = std::max<std::int64_t>(most, expert.tokens);
  check_capacity(shape, unit, task.batch, most);
}

void NmpLayer::begin(const LayerTask& task, std::size_t first) {
  running_ = first;
  input_ = ways_.mode_switch() + ways_.link_in(task.batch) + ways_.all_gather(task.batch);
  for (auto& channel : channels_) {
    channel->begin_at(ways_.mode_switch());
    for (std::size_t i = first; i < task.experts.size(); ++i) channel->add_expert(task.experts[i]);
  }
}

void NmpLayer::run_expert(const LayerTask& task) {
  const ExpertTask& expert = task.experts[running_++];
  Cycle done = 0;
  for (auto& channel : channels_) {
    channel->run_expert(input_);
    done = std::max(done, channel->unit().expert_done());
  }
  last_reduced_ = ring_.serve(done, ways_.reduce_scatter(expert.tokens));
  for (auto& channel : channels_) channel->unit().add_weighted_sum(last_reduced_, expert.tokens);
  if (!parts_.unit.overlap_reduce_scatter) input_ = last_reduced_;
}

void NmpLayer::finish(const LayerTask& task) {
  const auto rows = static_cast<int>(parts_.shape.result_rows(task.batch));
  for (auto& channel : channels_) {
    const Cycle summed = channel->unit().finish_sums(parts_.unit.overlap_weighted_sum ? 0 : last_reduced_);
    end_ = std::max(end_, channel->write_rows(parts_.options.result_row, rows, summed));
  }
}

NmpLayerResult NmpLayer::run(const LayerTask& task) {
  check_capacity(parts_.shape, parts_.unit, task);
  begin(task);
  for (std::size_t i = 0; i < task.experts.size(); ++i) run_expert(task);
  finish(task);
  return result_of(parts_, task, counts());
}

std::vector<std::int64_t> NmpLayer::canonical(const LayerTask& task) {
  const auto length = static_cast<std::int32_t>(parts_.layout.size());
  std::vector<std::int32_t> first_rows = {running_ > 0 ? task.experts[running_ - 1].first_row : -length};
  const std::size_t last = std::min(task.experts.size(), running_ + 1 + static_cast<std::size_t>(parts_.unit.row_latches));
  for (std::size_t i = running_; i < last; ++i) first_rows.push_back(task.experts[i].first_row);
  frame_.name_rows(std::move(first_rows), length);
  std::vector<std::int64_t> out = {static_cast<std::int64_t>(channels_.size()), std::max<Cycle>(input_ - now(), 0), std::max<Cycle>(ring_.free_at - now(), 0)};
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    out.insert(out.end(), {channels_[i]->controller().now() - now(), row_meters_[i]->open_class()});
    channels_[i]->canonical(frame_, out);
  }
  return out;
}

std::vector<std::int64_t> NmpLayer::counts() const {
  const NmpUnit& unit = channels_[0]->unit();
  std::vector<std::int64_t> out = {end_ < 0 ? now() : end_,      unit.tensor().busy, unit.reducer().busy, unit.weighted_sum_busy(),
                                   unit.special_functions().busy, ring_.busy,         channels_[0]->mac_bytes_over_all_banks()};
  const auto add = [&](const std::vector<std::int64_t>& values) { out.insert(out.end(), values.begin(), values.end()); };
  add(row_meters_[0]->class_time(now()));
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    add(row_meters_[i]->rows_read());
    add(row_meters_[i]->rows_written());
    add(channels_[i]->controller().issued());
  }
  return out;
}

NmpLayerResult result_of(const NmpLayerParts& parts, const LayerTask& task, const std::vector<std::int64_t>& counts) {
  const NmpWays ways(parts.spec, parts.shape, parts.unit);
  NmpLayerResult result;
  result.link_in = ways.link_in(task.batch);
  result.all_gather = ways.all_gather(task.batch);
  result.link_out = ways.link_out(task.batch);
  result.duration = counts[0] + ways.mode_switch() + result.link_out;
  result.tensor = counts[1];
  result.reducer = counts[2];
  result.weighted_sum = counts[3];
  result.special_functions = counts[4] - counts[3];
  result.reduce_scatter = counts[5];
  result.mac_bytes_over_all_banks = counts[6];
  const auto classes = static_cast<std::ptrdiff_t>(parts.spec.classes.size());
  const auto commands = static_cast<std::ptrdiff_t>(parts.spec.commands.size());
  const auto first_channel = counts.begin() + 7 + classes;
  result.class_time.assign(first_channel - classes, first_channel);
  result.commands.assign(parts.spec.commands.size(), 0);
  for (int channel = 0; channel < parts.shape.channels; ++channel) {
    // A channel that was not simulated did what channel 0 did.
    const bool simulated = parts.options.simulated_channels == 0 || channel < parts.options.simulated_channels;
    const auto at = first_channel + (simulated ? channel * (2 * classes + commands) : 0);
    result.rows_read.insert(result.rows_read.end(), at, at + classes);
    result.rows_written.insert(result.rows_written.end(), at + classes, at + 2 * classes);
    for (std::ptrdiff_t i = 0; i < commands; ++i) result.commands[static_cast<std::size_t>(i)] += *(at + 2 * classes + i);
  }
  return result;
}

}  // namespace moeram
