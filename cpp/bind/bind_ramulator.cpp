#include <pybind11/stl.h>

#include "bind.h"
#include "moeram/system/ramulator_config.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

// (statistics text, warnings). Relative paths in the config count from `folder`.
std::pair<std::string, std::vector<std::string>> run_ramulator(const std::string& path, const std::string& folder, bool strict, bool skip) {
  RamulatorRun run(Params::from_file(path, folder), strict, folder);
  run.run(skip);
  return {run.statistics(), run.warnings()};
}

}  // namespace

void bind_ramulator(py::module_& module) {
  module.def("run_ramulator", &run_ramulator, py::arg("path"), py::kw_only(), py::arg("folder") = "", py::arg("strict") = false, py::arg("skip") = true,
             py::call_guard<py::gil_scoped_release>());
}

}  // namespace moeram::bind
