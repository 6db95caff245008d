// Reading and writing what a last-level cache holds.
#include "moeram/base/text_file.h"
#include "moeram/frontend/last_level_cache.h"
#include "moeram/frontend/trace_lines.h"

namespace moeram {
namespace {
constexpr const char* kHeader = "index,addr,tag,dirty";
}

void LastLevelCache::save(const std::string& path) const {
  std::string text = std::string(kHeader) + "\n";
  for (std::size_t index = 0; index < sets_.size(); ++index) {
    for (const auto& line : sets_[index]) {
      text += std::to_string(index) + "," + std::to_string(line.address) + "," + std::to_string(line.tag) + (line.dirty ? ",1\n" : ",0\n");
    }
  }
  write_whole_file(path, text);
}

void LastLevelCache::load(const std::string& path) {
  bool header = true;
  for_each_trace_line(path, std::string("'") + kHeader + "' as the first, then numbers", [&](std::string_view text) -> std::string {
    if (header) {
      header = false;
      return text == kHeader ? "" : "no such header";
    }
    const auto parts = split(text, ',');
    if (parts.size() != 4) return std::to_string(parts.size()) + " fields";
    const auto index = parse_decimal(parts[0]), address = parse_decimal(parts[1]), tag = parse_decimal(parts[2]), dirty = parse_decimal(parts[3]);
    if (!index || !address || !tag || !dirty || *dirty > 1) return "bad number";
    // The tag of a set that 2.0 computes from the address; others could never be hit.
    if (static_cast<std::size_t>(*index) != set_of(*address) || *tag != tag_of(*address)) return "a line of another cache's size";
    sets_[static_cast<std::size_t>(*index)].push_back({*address, *tag, *dirty == 1, true, next_line_++});
    return "";
  });
}

}  // namespace moeram
