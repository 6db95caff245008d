// The core's errors become those of moeram.errors.
#include "bind.h"
#include "moeram/base/errors.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

void raise(const char* name, const std::exception& error) {
  const py::object type = py::module_::import("moeram.errors").attr(name);
  PyErr_SetString(type.ptr(), error.what());
}

}  // namespace

void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const ConfigError& error) {
      raise("ConfigError", error);
    } catch (const TraceError& error) {
      raise("TraceError", error);
    } catch (const CapacityError& error) {
      raise("CapacityError", error);
    } catch (const EngineError& error) {
      raise("EngineError", error);
    }
  });
}

}  // namespace moeram::bind
