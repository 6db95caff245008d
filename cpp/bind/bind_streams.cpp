#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "interruptible.h"
#include "keywords.h"
#include "moeram/base/errors.h"
#include "moeram/system/stream_run.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

using Longs = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

std::vector<Stream> make_streams(const Longs& base, const Longs& extent, const Longs& stride, const Longs& kind, const Longs& group) {
  for (const auto* column : {&extent, &stride, &kind, &group}) {
    if (column->size() != base.size()) throw EngineError("run_stream: base, extent, stride, kind and group must have one entry for each stream");
  }
  std::vector<Stream> streams;
  for (py::ssize_t i = 0; i < base.size(); ++i) {
    streams.push_back({base.data()[i], extent.data()[i], stride.data()[i], static_cast<int>(kind.data()[i]), static_cast<int>(group.data()[i])});
  }
  return streams;
}

template <class Get>
py::array_t<std::int64_t> column(const StreamRunResult& result, Get get) {
  py::array_t<std::int64_t> out(static_cast<py::ssize_t>(result.kinds.size()));
  for (std::size_t i = 0; i < result.kinds.size(); ++i) out.mutable_data()[i] = get(result.kinds[i]);
  return out;
}

py::array_t<double> energy(const StreamRunResult& result, double (*get)(const RankEnergy&)) {
  const std::size_t ranks = result.kinds.empty() ? 0 : result.kinds[0].energy.size();
  py::array_t<double> out({static_cast<py::ssize_t>(result.kinds.size()), static_cast<py::ssize_t>(ranks)});
  double* at = out.mutable_data();
  for (const auto& kind : result.kinds) {
    for (const auto& rank : kind.energy) *at++ = get(rank);
  }
  return out;
}

py::dict make_tables(const Spec& spec, const StreamRunResult& result) {
  py::dict out;
  out["cycles"] = result.cycles;
  out["tck_ps"] = spec.tck_ps;
  out["transaction_bytes"] = spec.transaction_bytes();
  out["kind_of_channel"] = py::array_t<int>(static_cast<py::ssize_t>(result.kind_of_channel.size()), result.kind_of_channel.data());
  out["kind_cycles"] = column(result, [](const auto& kind) { return kind.cycles; });
  out["reads"] = column(result, [](const auto& kind) { return kind.reads; });
  out["writes"] = column(result, [](const auto& kind) { return kind.writes; });
  out["simulated"] = column(result, [](const auto& kind) { return kind.simulated; });
  py::dict statistics, commands;
  const std::size_t first_command = result.count_names.size() - spec.commands.size();
  for (std::size_t i = 0; i < result.count_names.size(); ++i) {
    (i < first_command ? statistics : commands)[result.count_names[i].c_str()] = column(result, [i](const auto& kind) { return kind.counts[i]; });
  }
  out["statistics"] = statistics;
  out["commands"] = commands;
  py::dict energies;
  if (spec.power) {
    energies["background"] = energy(result, [](const RankEnergy& rank) { return rank.background_nj(); });
    energies["commands"] = energy(result, [](const RankEnergy& rank) { return rank.command_nj; });
    energies["active_cycles"] = energy(result, [](const RankEnergy& rank) { return static_cast<double>(rank.active_cycles); });
    energies["idle_cycles"] = energy(result, [](const RankEnergy& rank) { return static_cast<double>(rank.idle_cycles); });
  }
  out["energy_nj"] = energies;
  return out;
}

StreamConfig make_config(const py::kwargs& given) {
  StreamConfig config;
  Keywords words("run_stream", given);
  words.take("standard", config.standard);
  words.take("organization", config.device.organization_preset);
  words.take("timing", config.device.timing_preset);
  words.take("sizes", config.device.organization);
  words.take("timing_cycles", config.device.timing_cycles);
  words.take("energy", config.device.power);
  words.take("voltage", config.device.voltage_preset);
  words.take("current", config.device.current_preset);
  words.take("stacks", config.stacks);
  words.take("mapper", config.mapper);
  words.take("interleave", config.interleave);
  words.take("scheduler", config.options.controller.scheduler);
  words.take("refresh", config.options.controller.refresh);
  words.take("row_policy", config.options.controller.row_policy);
  words.take("row_policy_cap", config.options.controller.row_policy_cap);
  words.take("interval_cycles", config.options.interval);
  words.take("refresh_phase_cycles", config.options.refresh_phase);
  words.take("skip", config.options.skip);
  words.take("fold", config.options.fold);
  words.take("threads", config.threads);
  words.take("reuse_identical_channels", config.reuse_identical_channels);
  words.finish();
  return config;
}

py::dict run_stream(const Longs& base, const Longs& extent, const Longs& stride, const Longs& kind, const Longs& group, const py::kwargs& given) {
  const auto streams = make_streams(base, extent, stride, kind, group);
  const StreamConfig config = make_config(given);
  const Spec spec = resolve_device(config);
  return make_tables(spec, run_interruptibly([&](const std::atomic<bool>* cancelled) { return run_streams(spec, config, streams, cancelled); }));
}

}  // namespace

void bind_streams(py::module_& module) {
  module.def("run_stream", &run_stream, py::arg("base"), py::arg("extent_bytes"), py::arg("stride_bytes"), py::arg("kind"), py::arg("group"));
}

}  // namespace moeram::bind
