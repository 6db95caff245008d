#include "moeram/frontend/load_store_trace.h"

#include <fstream>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

constexpr std::size_t kLongestLine = 64;

[[noreturn]] void fail(const std::string& path, std::size_t line, const std::string& text, const std::string& why) {
  throw TraceError(path + ":" + std::to_string(line) + ": " + why + " in '" + text.substr(0, kLongestLine) +
                   "'; a line is 'LD <address>' or 'ST <address>' with one space, the address decimal or 0x hexadecimal");
}

// Decimal, or hexadecimal after 0x; a leading zero does not make it octal.
std::optional<std::int64_t> parse_address(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) return parse_integer(text);
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto first = text.find_first_not_of('0');
  return first == std::string_view::npos ? 0 : parse_integer(text.substr(first));
}

}  // namespace

LoadStoreTrace::LoadStoreTrace(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || file.peek() == std::ifstream::traits_type::eof()) {
    throw TraceError(path + (file.is_open() ? ": the trace is empty" : ": no such trace file"));
  }
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    const bool store = line.starts_with("ST ");
    if (!store && !line.starts_with("LD ")) fail(path, number, line, "no LD or ST");
    const auto address = parse_address(std::string_view(line).substr(3));
    if (!address) fail(path, number, line, "bad address");
    if (*address < 0 || *address > (std::int64_t{1} << 61)) fail(path, number, line, "address out of range");
    entries_.push_back({*address * 2 + (store ? 1 : 0)});
  }
  if (file.bad()) throw TraceError(path + ": reading failed");
}

void LoadStoreTrace::tick(RequestTarget& memory) {
  const Entry& entry = entries_[next_];
  refused_ = !memory.send(entry.kind(), entry.address(), -1);
  if (refused_) {
    refused_version_ = memory.version();
  } else {
    ++next_;
  }
}

void LoadStoreTrace::pass(RequestTarget& memory, std::int64_t ticks) {
  memory.refuse_again(entries_[next_].kind(), entries_[next_].address(), ticks);
}

}  // namespace moeram
