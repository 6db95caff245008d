// Arithmetic of the standards' data files: "nCL + nBL + 2 - nCWL", "jedec(7800)", "nRFC if density > 4096 else 0".
#pragma once

#include <functional>
#include <string>

namespace moeram {

// How a time in ns becomes cycles; t_ps is the integer part of 1000 * ns in single precision.
enum class Rounding { jedec, jedec_ddr5, up };
Rounding rounding_from_name(const std::string& name);  // throws ConfigError
std::int64_t to_cycles(double time_ns, std::int64_t tck_ps, Rounding rounding);

struct ExpressionContext {
  std::function<double(const std::string&)> value_of;  // throws on an unknown name
  std::int64_t tck_ps = 0;                              // for jedec(), jedec_ddr5() and up()
};

// Throws ConfigError with the text and the place in it.
double evaluate(const std::string& text, const ExpressionContext& context);

}  // namespace moeram
