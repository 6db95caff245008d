#include <pybind11/stl.h>

#include "bind.h"
#include "moeram/dram/standard.h"

namespace moeram::bind {

namespace py = pybind11;

namespace {

py::dict describe_commands(const Spec& spec) {
  py::dict commands;
  for (const auto& command : spec.commands) {
    py::dict entry;
    entry["bus"] = command.bus < 0 ? "none" : spec.buses[static_cast<std::size_t>(command.bus)];
    entry["bus_ticks"] = command.bus_ticks;
    entry["whole_cycle"] = command.whole_cycle;
    entry["scope"] = spec.levels[static_cast<std::size_t>(command.scope)];
    entry["opening"] = command.opening;
    entry["closing"] = command.closing;
    entry["accessing"] = command.accessing;
    entry["refreshing"] = command.refreshing;
    commands[py::str(command.name)] = entry;
  }
  return commands;
}

// None where the standard has no such refresh; level None where 2.0 looks for a level that is not there.
py::object describe_refresh(const Spec& spec, const std::optional<RefreshRule>& rule) {
  if (!rule) return py::none();
  const auto command = static_cast<std::size_t>(spec.requests[static_cast<std::size_t>(rule->request)].command);
  py::dict entry;
  entry["command"] = spec.commands[command].name;
  entry["level"] = rule->level < 0 ? py::object(py::none()) : py::object(py::str(spec.levels[static_cast<std::size_t>(rule->level)]));
  entry["interval"] = rule->interval;
  return entry;
}

// None where the standard has no prices; pJ of one command, mW of the background, for one unit of the scope.
py::object describe_energy(const Spec& spec) {
  if (!spec.energy) return py::none();
  const auto describe = [](const CommandEnergy::Term& term, const char* unit) {
    py::dict entry;
    entry[unit] = term.pj;
    entry["origin"] = term.origin;
    return entry;
  };
  py::dict commands;
  for (std::size_t i = 0; i < spec.commands.size(); ++i) commands[py::str(spec.commands[i].name)] = describe(spec.energy->commands[i], "pj");
  py::dict energy;
  energy["scope"] = spec.energy->scope;
  energy["units_per_channel"] = spec.energy->units_per_channel;
  energy["background"] = describe(spec.energy->background, "mw");
  energy["commands"] = commands;
  return energy;
}

// Empty where rows open in one command: how long the data clock stays in step, and how long the second half may wait (-1: for ever).
py::dict describe_two_step(const Spec& spec) {
  py::dict entry;
  if (!spec.two_step) return entry;
  py::dict in_step;
  for (std::size_t command = 0; command < spec.commands.size(); ++command) {
    if (const Cycle ticks = spec.two_step->in_step[command]; ticks != 0) in_step[py::str(spec.commands[command].name)] = ticks;
  }
  entry["in_step_for"] = in_step;
  entry["deadline"] = spec.two_step->deadline == kNever ? Cycle{-1} : spec.two_step->deadline;
  return entry;
}

// {"organization": {name: origin}, "timing": {name: origin}}; the origin is empty for presets of the standard's own source.
py::dict standard_presets(const std::string& name) {
  const Standard standard = find_standard(name);
  py::dict organization;
  for (const auto& [preset, values] : standard.organization_presets) {
    const auto source = standard.organization_sources.find(preset);
    organization[py::str(preset)] = source == standard.organization_sources.end() ? "" : source->second;
  }
  py::dict timing;
  for (const auto& [preset, values] : standard.timing_presets) {
    const auto source = standard.timing_sources.find(preset);
    const auto scaled = standard.scaled_from.find(preset);
    std::string origin = source == standard.timing_sources.end() ? "" : source->second;
    if (scaled != standard.scaled_from.end()) origin = "scaled from " + scaled->second + (origin.empty() ? "" : "; " + origin);
    timing[py::str(preset)] = origin;
  }
  py::dict out;
  out["standard"] = standard.skeleton.standard + "@" + standard.skeleton.edition;
  out["organization"] = organization;
  out["timing"] = timing;
  return out;
}

}  // namespace

py::dict facts_of(const Spec& spec) {
  py::dict facts;
  facts["standard"] = spec.standard + "@" + spec.edition;
  facts["levels"] = spec.levels;
  facts["counts"] = spec.counts;
  facts["timing"] = spec.timing;
  facts["tck_ps"] = spec.tck_ps;
  facts["ticks_per_cycle"] = spec.ticks_per_cycle;
  facts["tick_ns"] = spec.tick_ns();
  facts["read_latency_cycles"] = spec.read_latency;  // ticks of the engine, which are cycles but where ticks_per_cycle is above 1
  facts["transaction_bytes"] = spec.transaction_bytes();
  facts["row_bytes"] = spec.row_bytes();
  facts["dq_bits"] = spec.dq_bits;
  facts["channel_width_bits"] = spec.channel_width_bits;
  facts["prefetch"] = spec.prefetch;
  facts["density_mb"] = spec.density_mb;
  facts["buses"] = spec.buses;
  facts["scaled_from"] = spec.scaled_from;
  facts["commands"] = describe_commands(spec);
  facts["two_step"] = describe_two_step(spec);
  facts["refresh"] = describe_refresh(spec, spec.refresh);
  facts["energy"] = describe_energy(spec);
  facts["refresh_per_bank"] = describe_refresh(spec, spec.refresh_per_bank);
  py::list rows;
  for (std::size_t level = 0; level < spec.rows.size(); ++level) {
    for (std::size_t preceding = 0; preceding < spec.rows[level].size(); ++preceding) {
      for (const auto& row : spec.rows[level][preceding]) {
        rows.append(py::make_tuple(spec.levels[level], spec.commands[preceding].name,
                                   spec.commands[static_cast<std::size_t>(row.following)].name, row.latency[0], row.window, row.sibling));
      }
    }
  }
  facts["rows"] = rows;
  return facts;
}

Spec resolve_by_names(const std::string& standard, const std::string& organization, const std::string& timing,
                      const std::map<std::string, std::int64_t>& sizes, const std::map<std::string, std::int64_t>& cycles) {
  DeviceOptions options;
  options.organization_preset = organization;
  options.timing_preset = timing;
  options.organization = sizes;
  options.timing_cycles = cycles;
  return resolve(find_standard(standard), options);
}

namespace {

py::dict resolve_standard(const std::string& standard, const std::string& organization, const std::string& timing,
                          const std::map<std::string, std::int64_t>& sizes, const std::map<std::string, std::int64_t>& cycles) {
  return facts_of(resolve_by_names(standard, organization, timing, sizes, cycles));
}

}  // namespace

void bind_devices(py::module_& module) {
  module.def("shipped_standards", &shipped_standards);
  module.def("standard_presets", &standard_presets, py::arg("standard"));
  module.def("resolve", &resolve_standard, py::arg("standard"), py::kw_only(), py::arg("organization"), py::arg("timing"),
             py::arg("sizes") = std::map<std::string, std::int64_t>{}, py::arg("cycles") = std::map<std::string, std::int64_t>{});
}

}  // namespace moeram::bind
