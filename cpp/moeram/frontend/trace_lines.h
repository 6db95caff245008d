// Reading text traces line by line with messages that name file, line and rule.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

class TraceLines {
 public:
  // Throws TraceError for a missing file. `form` is the form of a good line, for messages.
  TraceLines(const std::string& path, const std::string& form);
  // The next line, without its end; valid until the next call. False after the last; throws TraceError for an empty file.
  bool next(std::string_view& line);
  // Throws TraceError: what is wrong with the line that next() gave last.
  [[noreturn]] void fail(const std::string& wrong, std::string_view line) const;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  bool fill();
  std::string path_;
  std::string form_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what is read and not yet given, in buffer_
  std::size_t number_ = 0;
};

// Calls `take` with each line; an answer that is not empty says what is wrong and becomes a TraceError.
template <class Take>
void for_each_trace_line(const std::string& path, const std::string& form, Take take) {
  TraceLines lines(path, form);
  std::string_view line;
  while (lines.next(line)) {
    if (const std::string wrong = take(line); !wrong.empty()) lines.fail(wrong, line);
  }
}

std::vector<std::string_view> split(std::string_view text, char separator);
// As many as fit go into `parts`; returns how many there are.
std::size_t split_into(std::span<std::string_view> parts, std::string_view text, char separator);

// Digits only; leading zeros do not make it octal.
std::optional<std::int64_t> parse_decimal(std::string_view text);
// The same, or hexadecimal after 0x.
std::optional<std::int64_t> parse_address(std::string_view text);

}  // namespace moeram
