#include "moeram/frontend/trace_lines.h"

#include <filesystem>
#include <fstream>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {
constexpr std::size_t kShownCharacters = 64;
}

void for_each_trace_line(const std::string& path, const std::string& form, const std::function<std::string(std::string_view)>& take) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) throw TraceError(path + ": is a folder, a trace file is expected");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw TraceError(path + ": no such trace file");
  std::string line;
  std::size_t number = 0;
  while (std::getline(file, line)) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (const std::string wrong = take(line); !wrong.empty()) {
      throw TraceError(path + ":" + std::to_string(number) + ": " + wrong + " in '" + printable(line.substr(0, kShownCharacters)) + "'; a line is " + form);
    }
  }
  if (file.bad()) throw TraceError(path + ": reading failed");
  if (number == 0) throw TraceError(path + ": the trace is empty");
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

std::optional<std::int64_t> parse_decimal(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const auto first = text.find_first_not_of('0');
  return first == std::string_view::npos ? 0 : parse_integer(text.substr(first));
}

}  // namespace moeram
