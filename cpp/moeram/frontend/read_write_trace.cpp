#include "moeram/frontend/read_write_trace.h"

#include "moeram/base/text.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {

ReadWriteTrace::ReadWriteTrace(const std::string& path, const Spec& spec, bool as_ramulator) : as_ramulator_(as_ramulator) {
  const std::string form = "'R <vector>' or 'W <vector>' with one space, the vector " + join(spec.levels, ",") + " in decimal";
  for_each_trace_line(path, form, [&](std::string_view line) -> std::string {
    if (!line.starts_with("R ") && !line.starts_with("W ")) return "no R or W";
    const auto parts = split(line.substr(2), ',');
    if (parts.size() != spec.levels.size()) return std::to_string(parts.size()) + " entries where " + std::to_string(spec.levels.size()) + " are expected";
    Entry entry{line.front() == 'R' ? kRead : kWrite, {}};
    for (std::size_t level = 0; level < parts.size(); ++level) {
      const auto value = parse_decimal(parts[level]);
      if (!value || *value >= spec.counts[level]) return "bad " + spec.levels[level] + " (0 to " + std::to_string(spec.counts[level] - 1) + ")";
      entry.address[level] = static_cast<std::int32_t>(*value);
    }
    entries_.push_back(entry);
    return "";
  });
}

void ReadWriteTrace::tick(RequestTarget& memory) {
  const Entry& entry = entries_[next_];
  if (as_ramulator_) {
    memory.send(entry.kind, -1, -1, 0);
    return;
  }
  refused_ = !memory.send(entry.kind, entry.address);
  if (refused_) {
    refused_version_ = memory.version();
  } else {
    ++next_;
  }
}

void ReadWriteTrace::pass(RequestTarget& memory, std::int64_t ticks) { memory.refuse_again(entries_[next_].kind, entries_[next_].address, ticks); }

}  // namespace moeram
