// Helpers for every reader of simulator configurations.
#pragma once

#include <string>

#include "moeram/base/errors.h"
#include "moeram/base/params.h"

namespace moeram {

// Errors of parts that know nothing of files get the place of the map that configured them.
template <class Make>
decltype(auto) at_place(const Params& place, Make make) {
  try {
    return make();
  } catch (const PlacedError&) {
    throw;
  } catch (const ConfigError& error) {
    place.fail(error.what());
  }
}

// A share of a queue between 0 and 1.
double read_watermark(const Params& controller, const std::string& key, double otherwise);

// What is left unread becomes an error, or a warning where the simulator that is followed ("": none) ignores it and `strict` is not asked for.
void check_unread(const Params& config, bool strict, std::vector<std::string>& warnings, const std::string& reference = "Ramulator 2.0");

}  // namespace moeram
