#include <pybind11/stl.h>

#include "bind.h"
#include "moeram/dram/standard.h"

namespace moeram::bind {

namespace py = pybind11;

py::dict facts_of(const Spec& spec) {
  py::dict facts;
  facts["standard"] = spec.standard + "@" + spec.edition;
  facts["levels"] = spec.levels;
  facts["counts"] = spec.counts;
  facts["timing"] = spec.timing;
  facts["tck_ps"] = spec.tck_ps;
  facts["read_latency_cycles"] = spec.read_latency;
  facts["transaction_bytes"] = spec.transaction_bytes();
  facts["prefetch"] = spec.prefetch;
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
  module.def("resolve", &resolve_standard, py::arg("standard"), py::kw_only(), py::arg("organization"), py::arg("timing"),
             py::arg("sizes") = std::map<std::string, std::int64_t>{}, py::arg("cycles") = std::map<std::string, std::int64_t>{});
}

}  // namespace moeram::bind
