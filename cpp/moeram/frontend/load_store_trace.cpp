#include "moeram/frontend/load_store_trace.h"

#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {
constexpr std::int64_t kHighestAddress = std::int64_t{1} << 61;
}

LoadStoreTrace::LoadStoreTrace(const std::string& path) {
  const std::string form = "'LD <address>' or 'ST <address>' with one space, the address decimal or 0x hexadecimal";
  for_each_trace_line(path, form, [this](std::string_view line) -> std::string {
    const bool store = line.starts_with("ST ");
    if (!store && !line.starts_with("LD ")) return "no LD or ST";
    const auto address = parse_address(line.substr(3));
    if (!address) return "bad address";
    if (*address > kHighestAddress) return "address out of range";
    entries_.push_back({*address * 2 + (store ? 1 : 0)});
    return "";
  });
}

void LoadStoreTrace::tick(RequestTarget& memory) {
  const Entry& entry = entries_[next_];
  refused_ = !memory.send(entry.kind(), entry.address(), -1, 0);
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
