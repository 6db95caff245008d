#include "moeram/system/near_memory_run.h"

#include "moeram/base/errors.h"
#include "moeram/plugin/command_trace.h"
#include "moeram/system/parallel.h"

namespace moeram {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw ConfigError(what);
}

void check_shape(const Spec& spec, const NmpShape& shape) {
  require(shape.channels == spec.counts[0] && shape.banks_per_channel == spec.banks(),
          "the shape names " + std::to_string(shape.channels) + " channels of " + std::to_string(shape.banks_per_channel) + " banks, " +
              spec.standard + " has " + std::to_string(spec.counts[0]) + " of " + std::to_string(spec.banks()));
  require(shape.row_bytes == spec.row_bytes(),
          "the shape names rows of " + std::to_string(shape.row_bytes) + " bytes, " + spec.standard + " has " + std::to_string(spec.row_bytes()));
  // Rows can move, and caches be read, without any expert.
  const bool no_expert = shape.hidden_size == 0 && shape.intermediate_size == 0;
  require((no_expert || (shape.hidden_size > 0 && shape.intermediate_size > 0)) && shape.chips > 0 && shape.bits_per_weight > 0 && shape.bytes_per_activation > 0,
          "hidden_size, intermediate_size, chips and the widths of numbers must be positive");
  require(shape.hidden_size * shape.intermediate_size * shape.bits_per_weight % 8 == 0, "a matrix of an expert must fill whole bytes");
}

void check_unit(const NmpUnitOptions& unit, const NmpShape& shape) {
  require(unit.row_latches >= 1 && unit.clock_ps > 0 && unit.reducer_outputs_per_cycle > 0 && unit.sfe_lanes > 0 &&
              unit.ring_bytes_per_cycle > 0 && unit.channel_io_gb_per_s > 0 && unit.mode_switch_ns >= 0 && shape.mac_block_bytes > 0,
          "the near-memory unit needs positive rates, at least one row latch and no negative time");
}

void check_layer(const Spec& spec, const NearMemoryConfig& config, const LayerTask& layer) {
  const std::int64_t rows = spec.counts[static_cast<std::size_t>(spec.row_level)];
  const std::int64_t rows_per_expert = config.shape.rows_per_expert();
  require(rows_per_expert > 0, "a layer of experts needs hidden_size and intermediate_size");
  require(layer.batch >= 1, "a layer runs with a batch of " + std::to_string(layer.batch) + " tokens; at least one is needed");
  const std::int64_t results_end = config.result_row + config.shape.result_rows(layer.batch);
  const auto interval = [](std::int64_t begin, std::int64_t end) { return std::to_string(begin) + " to " + std::to_string(end - 1); };
  if (config.result_row < 0 || results_end > rows) {
    throw CapacityError("the results of " + std::to_string(layer.batch) + " tokens at rows " + interval(config.result_row, results_end) +
                        " do not fit a bank of " + std::to_string(rows) + " rows");
  }
  for (const auto& expert : layer.experts) {
    const std::string name = "expert " + std::to_string(expert.expert);
    require(expert.tokens >= 1 && expert.tokens <= layer.batch,
            name + " runs with " + std::to_string(expert.tokens) + " tokens; allowed: 1 to the batch of " + std::to_string(layer.batch));
    const std::int64_t end = expert.first_row + rows_per_expert;
    if (expert.first_row < 0 || end > rows) {
      throw CapacityError(name + " at rows " + interval(expert.first_row, end) + " does not fit a bank of " + std::to_string(rows) + " rows");
    }
    if (expert.first_row < results_end && config.result_row < end) {
      throw CapacityError(name + " at rows " + interval(expert.first_row, end) + " lies where the results are written, rows " +
                          interval(config.result_row, results_end));
    }
  }
}

}  // namespace

Spec resolve_device(const NearMemoryConfig& config) {
  const Standard standard = find_standard(config.standard);
  DeviceOptions device;
  device.organization_preset = config.organization_preset;
  device.timing_preset = config.timing_preset;
  const Spec spec = resolve_with_tiers(standard, device, config.tiers);
  check_shape(spec, config.shape);
  check_unit(config.unit, config.shape);
  return spec;
}

std::vector<NmpLayerResult> run_layers(const Spec& spec, const NearMemoryConfig& config, const std::vector<LayerTask>& layers,
                                       const NearMemoryRunOptions& options, const std::atomic<bool>* cancelled, EngineWork* work) {
  const auto layout = layout_expert(config.shape);
  for (const auto& layer : layers) check_layer(spec, config, layer);
  const bool traced = !options.trace_folder.empty();
  const NmpLayerOptions layer_options{config.result_row, options.skip, options.reuse_identical_channels && !traced ? 1 : 0};
  const NmpLayerParts parts{spec, config.shape, config.unit, layer_options, layout};
  ExpertMemo* const experts = traced ? nullptr : options.experts;
  const auto in_use = experts != nullptr ? experts->use() : std::shared_lock<std::shared_mutex>();

  std::vector<NmpLayerResult> results(layers.size());
  std::vector<EngineWork> works(layers.size());
  in_parallel(layers.size(), options.threads, cancelled, [&](std::size_t i) {
    if (experts != nullptr) {
      results[i] = run_reusing(parts, layers[i], *experts, works[i]);
      return;
    }
    NmpLayer layer(parts);
    std::vector<std::shared_ptr<CommandTrace>> traces;
    for (int channel = 0; traced && channel < config.shape.channels; ++channel) {
      traces.push_back(std::make_shared<CommandTrace>(spec, options.trace_folder + "/layer" + std::to_string(i) + ".ch" + std::to_string(channel)));
      layer.add_listener(channel, traces.back());
    }
    results[i] = layer.run(layers[i]);
    works[i].add(layers[i], results[i]);
    for (const auto& trace : traces) trace->finish();
  });
  for (const auto& one : works) {
    if (work != nullptr) work->add(one);
  }
  return results;
}

}  // namespace moeram
