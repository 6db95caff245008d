// What module.cpp lists. The only folder that knows of Python.
#pragma once

#include <pybind11/pybind11.h>

namespace moeram::bind {

void bind_errors(pybind11::module_& module);
void bind_devices(pybind11::module_& module);
void bind_near_memory(pybind11::module_& module);
void bind_ramulator(pybind11::module_& module);

}  // namespace moeram::bind
