#include "moeram/mapping/translation.h"

#include <bit>

#include "moeram/base/errors.h"

namespace moeram {

RandomTranslation::RandomTranslation(std::int64_t max_address, std::int64_t page_bytes, std::int32_t seed, int cores)
    : page_bits_(static_cast<int>(std::bit_width(static_cast<std::uint64_t>(page_bytes))) - 1),
      pages_(page_bytes > 0 ? max_address / page_bytes : 0),
      random_(static_cast<std::uint64_t>(static_cast<std::int64_t>(seed))),
      tables_(static_cast<std::size_t>(cores)) {
  if (page_bytes < 1 || pages_ < 1) {
    throw ConfigError("RandomTranslation: no page of " + std::to_string(page_bytes) + " bytes fits below max_addr " + std::to_string(max_address));
  }
}

std::int64_t RandomTranslation::translate(std::int64_t address, int core) {
  auto& table = tables_[static_cast<std::size_t>(core)];
  const auto [entry, is_new] = table.try_emplace(address >> page_bits_, 0);
  if (is_new) entry->second = static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(pages_));
  return (entry->second << page_bits_) | (address & ((std::int64_t{1} << page_bits_) - 1));
}

}  // namespace moeram
