#include "moeram/frontend/load_store_trace.h"

#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {
constexpr std::int64_t kHighestAddress = std::int64_t{1} << 61;
static_assert(kRead == 0 && kWrite == 1, "as entries count them");

RequestRuns read_trace(const std::string& path) {
  RequestRuns requests;
  const std::string form = "'LD <address>' or 'ST <address>' with one space, the address decimal or 0x hexadecimal";
  for_each_trace_line(path, form, [&requests](std::string_view line) -> std::string {
    const bool store = line.starts_with("ST ");
    if (!store && !line.starts_with("LD ")) return "no LD or ST";
    const auto address = parse_address(line.substr(3));
    if (!address) return "bad address";
    if (*address > kHighestAddress) return "address out of range";
    requests.add({*address * 2 + (store ? 1 : 0)});
    return "";
  });
  requests.close();
  return requests;
}

}  // namespace

LoadStoreTrace::LoadStoreTrace(const std::string& path) : requests_(read_trace(path)), cursor_(requests_) {}

void LoadStoreTrace::tick(RequestTarget& memory) {
  const TraceEntry due = cursor_.due();
  refused_ = !memory.send(due.kind(), due.address(), -1, 0);
  if (refused_) {
    refused_version_ = memory.version();
  } else {
    cursor_.advance();
  }
}

void LoadStoreTrace::pass(RequestTarget& memory, std::int64_t ticks) {
  memory.refuse_again(cursor_.due().kind(), cursor_.due().address(), ticks);
}

}  // namespace moeram
