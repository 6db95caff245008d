// Integer vocabulary shared by all rooms.
#pragma once

#include <cstdint>
#include <limits>

namespace moeram {

using Cycle = std::int64_t;    // of the clock of the object that holds it; the first tick has the value 1
using Picosecond = std::int64_t;

inline constexpr Cycle kNever = std::numeric_limits<Cycle>::max();

// Of what is not negative.
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace moeram
