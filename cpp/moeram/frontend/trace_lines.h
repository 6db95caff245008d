// Reading text traces line by line with messages that name file, line and rule.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

// Calls `take` with each line, without its end; an answer that is not empty says what is wrong and becomes a TraceError
// that adds `form`, the form of a good line. Throws TraceError for a missing or empty file too.
void for_each_trace_line(const std::string& path, const std::string& form, const std::function<std::string(std::string_view)>& take);

std::vector<std::string_view> split(std::string_view text, char separator);

// Digits only; leading zeros do not make it octal.
std::optional<std::int64_t> parse_decimal(std::string_view text);

}  // namespace moeram
