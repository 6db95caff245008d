// Text helpers for messages and for numbers in users' files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moeram {

// "; did you mean 'x'?" for the nearest allowed name, else "; allowed: a, b".
std::string did_you_mean(std::string_view given, const std::vector<std::string>& allowed);

// Whole-string conversions; nothing on any leftover character or overflow. Integers: decimal, 0x hexadecimal, leading-zero octal.
std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);
std::optional<bool> parse_boolean(std::string_view text);

// Control characters and bytes outside ASCII become '?', so that a message stays a line of text.
std::string printable(std::string_view text);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace moeram
