#include "moeram/base/errors.h"

#include <cstddef>

namespace moeram {
namespace {

// Length of the UTF-8 character at `at`; 0 if there is none.
std::size_t character_at(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  const unsigned first = byte(at);
  if (first < 0x80) return first >= ' ' && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xc2 && first < 0xe0 ? 2 : (first & 0xf0) == 0xe0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(at + 1) < 0xa0) || (first == 0xf0 && byte(at + 1) < 0x90);
  const bool no_character = (first == 0xed && byte(at + 1) >= 0xa0) || (first == 0xf4 && byte(at + 1) >= 0x90);
  return overlong || no_character ? 0 : length;
}

std::string clean(const std::string& message) {
  std::string out;
  for (std::size_t at = 0; at < message.size();) {
    const std::size_t length = character_at(message, at);
    out += length == 0 ? "?" : message.substr(at, length);
    at += length == 0 ? 1 : length;
  }
  return out;
}

}  // namespace

Error::Error(const std::string& message) : std::runtime_error(clean(message)) {}

}  // namespace moeram
