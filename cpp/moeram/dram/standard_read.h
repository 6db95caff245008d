// The parts of a standard's file, each with its own reader; all throw ConfigError with file, line and key.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "moeram/base/errors.h"
#include "moeram/base/params.h"
#include "moeram/dram/standard.h"

namespace moeram {

int find_level(const Spec& spec, const Params& at, const std::string& name);
int find_command(const Spec& spec, const Params& at, const std::string& name);
std::vector<int> find_commands(const Spec& spec, const Params& at);

void read_organization(const Params& organization, Standard& standard);
void read_timing(const Params& timing, Standard& standard);
void read_energy(const Params& energy, Standard& standard);
// `value_of`: timing in cycles and sizes by name.
void resolve_energy(const Standard& standard, const std::function<double(const std::string&)>& value_of, Spec& spec);
void read_behaviour(const Params& behaviour, Standard& standard);

// What a name means; a complaint gets the place of the name.
template <class Find>
auto named(const Params& name, Find find) {
  try {
    return find(name.as_text());
  } catch (const ConfigError& error) {
    name.fail(error.what());
  }
}

}  // namespace moeram
