#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "interruptible.h"
#include "moeram/base/errors.h"
#include "moeram/pim/nmp_attention.h"
#include "moeram/system/parallel.h"
#include "near_memory_device.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

using Longs = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

// head [X, 5]: group, tokens, new tokens, first row of the keys, of the values.
std::vector<AttentionTask> make_layers(const NearMemoryDevice& device, const Longs& begin, const Longs& head, const AttentionTask& common) {
  if (begin.ndim() != 1 || begin.size() < 2 || head.ndim() != 2 || head.shape(1) != 5 || begin.at(0) != 0 || begin.at(begin.size() - 1) != head.shape(0)) {
    throw EngineError("run_attention: layer_begin [L + 1] must run from 0 to the length of head [X, 5]");
  }
  if (common.units_per_group < 1 || device.config.shape.channels % common.units_per_group != 0) {
    throw ConfigError("groups of " + std::to_string(common.units_per_group) + " units do not divide a chip of " + std::to_string(device.config.shape.channels));
  }
  const int groups = device.config.shape.chips * (device.config.shape.channels / common.units_per_group);
  std::vector<AttentionTask> layers(static_cast<std::size_t>(begin.size() - 1), common);
  for (py::ssize_t layer = 0; layer + 1 < begin.size(); ++layer) {
    auto& task = layers[static_cast<std::size_t>(layer)];
    task.groups.resize(static_cast<std::size_t>(groups));
    for (auto i = begin.at(layer); i < begin.at(layer + 1); ++i) {
      const std::int64_t group = head.at(i, 0);
      if (group < 0 || group >= groups) throw EngineError("run_attention: no group " + std::to_string(group) + " among " + std::to_string(groups));
      task.groups[static_cast<std::size_t>(group)].push_back(
          {head.at(i, 1), head.at(i, 2), static_cast<std::int32_t>(head.at(i, 3)), static_cast<std::int32_t>(head.at(i, 4))});
    }
  }
  return layers;
}

py::array_t<std::int64_t> table(const std::vector<AttentionResult>& results, const std::vector<std::int64_t> AttentionResult::*field) {
  py::array_t<std::int64_t> out({static_cast<py::ssize_t>(results.size()), static_cast<py::ssize_t>((results[0].*field).size())});
  std::int64_t* at = out.mutable_data();
  for (const auto& result : results) at = std::copy((result.*field).begin(), (result.*field).end(), at);
  return out;
}

py::dict make_tables(const NearMemoryDevice& device, const std::vector<AttentionResult>& results) {
  const auto column = [&](const std::int64_t AttentionResult::*field, std::int64_t factor) {
    py::array_t<std::int64_t> out(static_cast<py::ssize_t>(results.size()));
    std::int64_t* at = out.mutable_data();
    for (const auto& result : results) *at++ = result.*field * factor;
    return out;
  };
  const std::int64_t tck = device.spec.tck_ps;
  py::dict busy;
  busy["link_in"] = column(&AttentionResult::link_in, tck);
  busy["all_gather"] = column(&AttentionResult::all_gather, tck);
  busy["tensor"] = column(&AttentionResult::tensor, tck);
  busy["softmax"] = column(&AttentionResult::softmax, tck);
  busy["exchange"] = column(&AttentionResult::exchange, tck);
  busy["reducer"] = column(&AttentionResult::reducer, tck);
  busy["reduce_scatter"] = column(&AttentionResult::reduce_scatter, tck);
  busy["link_out"] = column(&AttentionResult::link_out, tck);
  py::dict out;
  out["time_ps"] = column(&AttentionResult::duration, tck);
  out["macs"] = column(&AttentionResult::macs, 1);
  out["link_bytes"] = column(&AttentionResult::link_bytes, 1);
  out["rows_read"] = table(results, &AttentionResult::rows_read);
  out["rows_written"] = table(results, &AttentionResult::rows_written);
  out["tokens_read"] = table(results, &AttentionResult::tokens_read);
  out["tokens_written"] = table(results, &AttentionResult::tokens_written);
  out["busy_ps"] = busy;
  return out;
}

py::dict run(const NearMemoryDevice& device, const Longs& layer_begin, const Longs& head, int units_per_group, int queries_per_head, int head_size,
             int bytes_per_value, bool overlap_softmax, int threads, bool skip, bool reuse_identical_groups) {
  AttentionTask common;
  common.units_per_group = units_per_group;
  common.queries_per_head = queries_per_head;
  common.head_size = head_size;
  common.bytes_per_value = bytes_per_value;
  const auto layers = make_layers(device, layer_begin, head, common);
  if (threads < 1) throw ConfigError("threads must be at least 1");
  const AttentionOptions options{device.config.result_row, overlap_softmax, skip, reuse_identical_groups};
  return make_tables(device, run_interruptibly([&](const std::atomic<bool>* cancelled) {
    std::vector<AttentionResult> results(layers.size());
    in_parallel(layers.size(), threads, cancelled, [&](std::size_t i) {
      results[i] = run_attention(device.spec, device.config.shape, device.config.unit, layers[i], options);
    });
    return results;
  }));
}

}  // namespace

void bind_attention(py::module_& module) {
  module.def("run_attention", &run, py::arg("config"), py::arg("layer_begin"), py::arg("head"), py::kw_only(), py::arg("units_per_group"),
             py::arg("queries_per_head"), py::arg("head_size"), py::arg("bytes_per_value"), py::arg("overlap_softmax") = true, py::arg("threads") = 1,
             py::arg("skip") = true, py::arg("reuse_identical_groups") = true);
}

}  // namespace moeram::bind
