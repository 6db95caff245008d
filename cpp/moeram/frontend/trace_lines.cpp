#include "moeram/frontend/trace_lines.h"

#include <array>
#include <cstring>
#include <filesystem>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {
constexpr std::size_t kShownCharacters = 64;
constexpr std::size_t kLongestLine = 4096;
constexpr std::size_t kBufferBytes = std::size_t{1} << 16;
constexpr std::size_t kSafeDigits = 18;  // fewer than the largest number has
constexpr std::size_t kSafeHexDigits = 15;
constexpr std::uint8_t kNoDigit = 0x80;

constexpr std::array<std::uint8_t, 256> hex_digits() {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::uint8_t i = 0; i < 10; ++i) digits[static_cast<std::size_t>('0' + i)] = i;
  for (std::uint8_t i = 0; i < 6; ++i) digits[static_cast<std::size_t>('a' + i)] = digits[static_cast<std::size_t>('A' + i)] = static_cast<std::uint8_t>(10 + i);
  return digits;
}
constexpr std::array<std::uint8_t, 256> kHexDigits = hex_digits();
}

TraceLines::TraceLines(const std::string& path, const std::string& form) : path_(path), form_(form), buffer_(kBufferBytes) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) throw TraceError(path + ": is a folder, a trace file is expected");
  file_.reset(std::fopen(path.c_str(), "rb"));
  if (!file_) throw TraceError(path + ": no such trace file");
  std::setvbuf(file_.get(), nullptr, _IONBF, 0);  // the buffer here is enough
}

bool TraceLines::next(std::string_view& line) {
  std::size_t searched = 0;
  while (true) {
    const char* const text = buffer_.data() + begin_;
    const std::size_t size = end_ - begin_;
    const auto* found = static_cast<const char*>(std::memchr(text + searched, '\n', size - searched));
    if (found != nullptr) {
      line = {text, static_cast<std::size_t>(found - text)};
      begin_ += line.size() + 1;
      break;
    }
    searched = size;
    if (size <= kLongestLine && fill()) continue;
    if (size == 0) {
      if (number_ == 0) throw TraceError(path_ + ": the trace is empty");
      return false;
    }
    line = {buffer_.data() + begin_, size};  // the last line has no end
    begin_ = end_;
    break;
  }
  ++number_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > kLongestLine) fail("longer than " + std::to_string(kLongestLine) + " characters", line);
  return true;
}

// Read more behind what is there; false at the end of the file.
bool TraceLines::fill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const std::size_t read = std::fread(buffer_.data() + end_, 1, buffer_.size() - end_, file_.get());
  if (std::ferror(file_.get()) != 0) throw TraceError(path_ + ": reading failed");
  end_ += read;
  return read > 0;
}

void TraceLines::fail(const std::string& wrong, std::string_view line) const {
  const std::string shown = printable(std::string(line.substr(0, kShownCharacters)));
  throw TraceError(path_ + ":" + std::to_string(number_) + ": " + wrong + " in '" + shown + "'; a line is " + form_);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::size_t split_into(std::span<std::string_view> parts, std::string_view text, char separator) {
  std::size_t count = 0;
  for (const char *at = text.data(), *const end = at + text.size();; ++count) {
    const char* const begin = at;
    while (at != end && *at != separator) ++at;
    if (count < parts.size()) parts[count] = {begin, static_cast<std::size_t>(at - begin)};
    if (at == end) return count + 1;
    ++at;
  }
}

std::optional<std::int64_t> parse_address(std::string_view text) {
  if (text.size() < 2 || text[0] != '0' || (text[1] | 0x20) != 'x') return parse_decimal(text);
  if (text.size() > 2 + kSafeHexDigits) return parse_integer(text);
  std::uint64_t value = 0, seen = 0;
  for (const char c : text.substr(2)) {
    const std::uint8_t digit = kHexDigits[static_cast<std::uint8_t>(c)];
    value = value << 4 | (digit & 0xf);
    seen |= digit;
  }
  if (text.size() == 2 || (seen & kNoDigit) != 0) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<std::int64_t> parse_decimal(std::string_view text) {
  const bool safe = text.size() <= kSafeDigits;
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    if (safe) value = value * 10 + (c - '0');
  }
  if (text.empty()) return std::nullopt;
  if (safe) return value;
  const auto first = text.find_first_not_of('0');
  return first == std::string_view::npos ? 0 : parse_integer(text.substr(first));
}

}  // namespace moeram
