#include "moeram/frontend/operation_trace.h"

#include <unordered_map>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {
constexpr std::int64_t kHighestAddress = std::int64_t{1} << 61;
}

OperationTrace::OperationTrace(const std::string& path, const Params& instructions, const Spec& spec, const AddressMapper& mapper) : mapper_(mapper) {
  const std::string syntax = instructions.text("syntax");
  if (syntax != "operation_address") instructions.child("syntax").fail("this trace needs instructions of the syntax 'operation_address'");
  const Params operations = instructions.child("operations");
  std::unordered_map<std::string, std::int32_t> kinds;
  for (const auto& name : operations.keys()) {
    const int kind = spec.request(operations.text(name));
    if (kind < 0) operations.child(name).fail("request '" + operations.text(name) + "' is unknown");
    kinds[name] = kind;
  }
  const auto names = operations.keys();
  std::string last_name;
  std::int32_t last_kind = -1;
  for_each_trace_line(path, "'OPERATION ADDRESS' with one space, the address decimal or 0x hexadecimal", [&](std::string_view line) -> std::string {
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return "no address";
    const std::string_view name = line.substr(0, space);
    if (name != last_name) {
      const auto found = kinds.find(std::string(name));
      if (found == kinds.end()) return "unknown operation" + did_you_mean(name, names);
      last_name = name;
      last_kind = found->second;
    }
    const std::string_view text = line.substr(space + 1);
    const auto address = text.starts_with("0x") || text.starts_with("0X") ? parse_integer(text) : parse_decimal(text);
    if (!address) return "bad address";
    if (*address > kHighestAddress) return "address out of range";
    entries_.push_back({*address, last_kind});
    return "";
  });
  for (const auto& entry : entries_) {
    const std::int32_t channel = mapper_.map(entry.address)[0];
    if (channel >= spec.counts[0]) {
      throw TraceError(path + ": address " + std::to_string(entry.address) + " lies in channel " + std::to_string(channel) + ", but there are only " + std::to_string(spec.counts[0]));
    }
  }
}

Request OperationTrace::next() const {
  Request request;
  request.kind = entries_[next_].kind;
  request.byte_address = entries_[next_].address;
  request.address = mapper_.map(request.byte_address);
  return request;
}

}  // namespace moeram
