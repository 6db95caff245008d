// What module.cpp lists. The only folder that knows of Python.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <map>
#include <string>

#include "moeram/dram/spec.h"

namespace moeram::bind {

void bind_errors(pybind11::module_& module);
// What Python is told of a resolved standard.
pybind11::dict facts_of(const Spec& spec);
Spec resolve_by_names(const std::string& standard, const std::string& organization, const std::string& timing,
                      const std::map<std::string, std::int64_t>& sizes, const std::map<std::string, std::int64_t>& cycles);

void bind_device_probe(pybind11::module_& module);
void bind_devices(pybind11::module_& module);
void bind_near_memory(pybind11::module_& module);
void bind_attention(pybind11::module_& module);
void bind_pricing(pybind11::module_& module);
void bind_streams(pybind11::module_& module);
void bind_queued(pybind11::module_& module);
void bind_ramulator(pybind11::module_& module);

}  // namespace moeram::bind
