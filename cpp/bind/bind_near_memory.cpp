#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "interruptible.h"
#include "keywords.h"
#include "moeram/base/errors.h"
#include "moeram/pim/row_program.h"
#include "near_memory_device.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

using Longs = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Ints = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;

NearMemoryDevice make_device(const py::kwargs& given) {
  NearMemoryConfig config;
  NmpShape& shape = config.shape;
  NmpUnitOptions& unit = config.unit;
  Keywords words("NmpConfig", given);
  std::int64_t rows = 32768;
  words.take("standard", config.standard);
  words.take("organization_preset", config.organization_preset);
  words.take("timing_preset", config.timing_preset);
  words.take("dram_layers", config.tiers.layers);
  words.take("tiers", config.tiers.tiers);
  words.take("tier_layers", config.tiers.tier_layers);
  words.take("slowest_tier_everywhere", config.tiers.slowest_everywhere);
  words.take("rows", rows);
  words.take("channels", shape.channels);
  words.take("banks_per_channel", shape.banks_per_channel);
  words.take("row_bytes", shape.row_bytes);
  words.take("chips", shape.chips);
  words.take("hidden_size", shape.hidden_size);
  words.take("intermediate_size", shape.intermediate_size);
  words.take("bits_per_weight", shape.bits_per_weight);
  words.take("bytes_per_activation", shape.bytes_per_activation);
  words.take("mac_block_bytes", shape.mac_block_bytes);
  words.take("unit_clock_ps", unit.clock_ps);
  words.take("row_latches", unit.row_latches);
  words.take("psum_bytes_per_pe", unit.psum_bytes_per_pe);
  words.take("shared_memory_bytes_per_pu", unit.shared_memory_bytes);
  words.take("reducer_outputs_per_cycle", unit.reducer_outputs_per_cycle);
  words.take("sfe_lanes", unit.sfe_lanes);
  words.take("silu_cycles_per_vector", unit.silu_cycles_per_vector);
  words.take("hadamard_cycles_per_vector", unit.hadamard_cycles_per_vector);
  words.take("weighted_sum_cycles_per_vector", unit.weighted_sum_cycles_per_vector);
  words.take("maximum_cycles_per_vector", unit.maximum_cycles_per_vector);
  words.take("exp_sum_cycles_per_vector", unit.exp_sum_cycles_per_vector);
  words.take("reciprocal_cycles_per_vector", unit.reciprocal_cycles_per_vector);
  words.take("ring_bytes_per_cycle", unit.ring_bytes_per_cycle);
  words.take("ring_hop_cycles", unit.ring_hop_cycles);
  words.take("channel_io_gb_per_s", unit.channel_io_gb_per_s);
  words.take("mode_switch_ns", unit.mode_switch_ns);
  words.take("overlap_all_gather", unit.overlap_all_gather);
  words.take("overlap_silu", unit.overlap_silu);
  words.take("overlap_reduce_scatter", unit.overlap_reduce_scatter);
  words.take("overlap_weighted_sum", unit.overlap_weighted_sum);
  words.take("result_row", config.result_row);
  words.finish();
  Spec spec = resolve_device(config);
  if (rows != spec.counts[static_cast<std::size_t>(spec.row_level)]) {
    throw ConfigError("NmpConfig: rows is " + std::to_string(rows) + ", " + spec.standard + " has " +
                      std::to_string(spec.counts[static_cast<std::size_t>(spec.row_level)]));
  }
  return {config, std::move(spec), std::make_shared<ExpertMemo>()};
}

std::vector<LayerTask> make_layers(const Longs& begin, const Ints& expert, const Ints& first_row, const Ints& tokens, const Longs& batch) {
  const auto count = begin.size() - 1;
  if (begin.ndim() != 1 || count < 1 || expert.size() != first_row.size() || expert.size() != tokens.size() || (batch.size() != count && batch.size() != 1) ||
      begin.at(0) != 0 || begin.at(count) != expert.size()) {
    throw EngineError("run_nmp: layer_begin [L + 1] must run from 0 to the length of expert, first_row and tokens; batch has L entries or one");
  }
  std::vector<LayerTask> layers(static_cast<std::size_t>(count));
  for (py::ssize_t layer = 0; layer < count; ++layer) {
    if (begin.at(layer) > begin.at(layer + 1)) throw EngineError("run_nmp: layer_begin decreases");
    auto& task = layers[static_cast<std::size_t>(layer)];
    task.batch = batch.data()[batch.size() == 1 ? 0 : layer];
    for (auto i = begin.at(layer); i < begin.at(layer + 1); ++i) task.experts.push_back({expert.at(i), first_row.at(i), tokens.at(i)});
  }
  return layers;
}

// Results as arrays of the given trailing shape, one entry per layer.
template <class Get>
py::array_t<std::int64_t> column(const std::vector<NmpLayerResult>& results, const std::vector<py::ssize_t>& trailing, Get get) {
  std::vector<py::ssize_t> shape = {static_cast<py::ssize_t>(results.size())};
  shape.insert(shape.end(), trailing.begin(), trailing.end());
  py::array_t<std::int64_t> out(shape);
  std::int64_t* at = out.mutable_data();
  for (const auto& result : results) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(get(result))>>) {
      *at++ = get(result);
    } else {
      for (const std::int64_t value : get(result)) *at++ = value;
    }
  }
  return out;
}

py::dict make_tables(const NearMemoryDevice& device, const std::vector<NmpLayerResult>& results) {
  const Spec& spec = device.spec;
  const NmpShape& shape = device.config.shape;
  const Picosecond tck = spec.tck_ps;
  const auto classes = static_cast<py::ssize_t>(spec.classes.size());
  const auto scalar = [&](auto field) { return column(results, {}, [=](const NmpLayerResult& r) { return field(r); }); };
  py::dict busy;
  busy["link_in"] = scalar([=](const auto& r) { return r.link_in * tck; });
  busy["all_gather"] = scalar([=](const auto& r) { return r.all_gather * tck; });
  busy["tensor"] = scalar([=](const auto& r) { return r.tensor * tck; });
  busy["reducer"] = scalar([=](const auto& r) { return r.reducer * tck; });
  busy["sfe"] = scalar([=](const auto& r) { return r.special_functions * tck; });
  busy["reduce_scatter"] = scalar([=](const auto& r) { return r.reduce_scatter * tck; });
  busy["weighted_sum"] = scalar([=](const auto& r) { return r.weighted_sum * tck; });
  busy["link_out"] = scalar([=](const auto& r) { return r.link_out * tck; });
  py::dict commands;
  for (std::size_t i = 0; i < spec.commands.size(); ++i) commands[spec.commands[i].name.c_str()] = scalar([=](const auto& r) { return r.commands[i]; });
  py::dict out;
  out["time_ps"] = scalar([=](const auto& r) { return r.duration * tck; });
  out["rows_read"] = column(results, {shape.channels, classes}, [](const auto& r) -> const auto& { return r.rows_read; });
  out["rows_written"] = column(results, {shape.channels, classes}, [](const auto& r) -> const auto& { return r.rows_written; });
  out["tier_time_ps"] = column(results, {classes}, [=](const auto& r) {
    auto time = r.class_time;
    for (auto& cycles : time) cycles *= tck;
    return time;
  });
  out["commands"] = commands;
  out["busy_ps"] = busy;
  out["weight_macs"] = scalar([&](const auto& r) { return r.mac_bytes_over_all_banks * 8 / shape.bits_per_weight / shape.chips; });
  return out;
}

py::dict run_nmp(const NearMemoryDevice& device, const Longs& layer_begin, const Ints& expert, const Ints& first_row, const Ints& tokens,
                 const Longs& batch, int threads, bool skip, bool reuse_identical_channels, bool reuse_experts,
                 const std::string& trace_dir) {
  const auto layers = make_layers(layer_begin, expert, first_row, tokens, batch);
  if (threads < 1) throw ConfigError("threads must be at least 1");
  const NearMemoryRunOptions options{threads, skip, reuse_identical_channels, reuse_experts ? device.experts.get() : nullptr, trace_dir};
  EngineWork work;
  py::dict out = make_tables(device, run_interruptibly([&](const std::atomic<bool>* cancelled) {
    return run_layers(device.spec, device.config, layers, options, cancelled, &work);
  }));
  py::dict engine;
  engine["experts"] = work.experts;
  engine["experts_simulated"] = work.experts_simulated;
  engine["commands_simulated"] = work.commands_simulated;
  out["engine"] = engine;
  return out;
}

py::dict run_rows_of(const NearMemoryDevice& device, const Ints& row, const py::array_t<bool, py::array::c_style | py::array::forcecast>& write, bool skip) {
  if (row.ndim() != 1 || write.ndim() != 1 || row.size() != write.size()) throw EngineError("run_rows: row and write must be [N], both as long");
  std::vector<RowOperation> program;
  for (py::ssize_t i = 0; i < row.size(); ++i) program.push_back({row.at(i), write.at(i)});
  const RowProgramResult result = run_interruptibly([&](const std::atomic<bool>*) { return run_rows(device.spec, program, skip); });
  const auto longs = [](const std::vector<std::int64_t>& values) { return Longs(static_cast<py::ssize_t>(values.size()), values.data()); };
  py::dict commands;
  for (std::size_t i = 0; i < device.spec.commands.size(); ++i) commands[device.spec.commands[i].name.c_str()] = result.commands[i];
  py::dict out;
  out["time_ps"] = result.duration * device.spec.tck_ps;
  out["rows_read"] = longs(result.rows_read);
  out["rows_written"] = longs(result.rows_written);
  out["commands"] = commands;
  return out;
}

}  // namespace

void bind_near_memory(py::module_& module) {
  py::class_<NearMemoryDevice>(module, "NmpConfig")
      .def(py::init([](const py::kwargs& given) { return make_device(given); }))
      .def_property_readonly("tck_ps", [](const NearMemoryDevice& device) { return device.spec.tck_ps; })
      .def_property_readonly("rows_per_expert", [](const NearMemoryDevice& device) { return device.config.shape.rows_per_expert(); })
      .def("check_capacity",
           [](const NearMemoryDevice& device, std::int64_t batch, std::int64_t most_tokens) {
             check_capacity(device.config.shape, device.config.unit, batch, most_tokens);
           },
           py::arg("batch"), py::arg("most_tokens"))
      .def_property_readonly("tier_timing", [](const NearMemoryDevice& device) {
        std::vector<std::tuple<int, int, std::map<std::string, Cycle>>> tiers;
        for (const auto& item : device.spec.classes) tiers.emplace_back(item.row_begin, item.row_end, item.timing);
        return tiers;
      });
  module.def("run_nmp", &run_nmp, py::arg("config"), py::arg("layer_begin"), py::arg("expert"), py::arg("first_row"), py::arg("tokens"),
             py::arg("batch"), py::kw_only(), py::arg("threads") = 1, py::arg("skip") = true, py::arg("reuse_identical_channels") = true,
             py::arg("reuse_experts") = true, py::arg("trace_dir") = "");
  module.def("run_rows", &run_rows_of, py::arg("config"), py::arg("row"), py::arg("write"), py::kw_only(), py::arg("skip") = true);
}

}  // namespace moeram::bind
