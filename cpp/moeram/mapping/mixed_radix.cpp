// Mappers for counts that are no powers of two: an address is a number in mixed radix, one digit a level.
// Where every count is a power of two the digits are the bit fields of the linear mapper of the same order.
#include <numeric>
#include <utility>

#include "moeram/base/errors.h"
#include "moeram/mapping/address_mapper.h"

namespace moeram {
namespace {

class MixedRadix : public AddressMapper {
 public:
  // `levels` from the fastest digit to the slowest.
  MixedRadix(std::string name, const Spec& spec, const std::vector<int>& levels) : name_(std::move(name)), burst_bytes_(spec.transaction_bytes()), column_level_(spec.column_level) {
    for (const int level : levels) {
      std::int64_t count = spec.counts[static_cast<std::size_t>(level)];
      if (level == spec.column_level) {
        if (count % spec.prefetch != 0) {
          throw ConfigError(name_ + ": " + std::to_string(count) + " columns of " + spec.standard + " are no whole number of bursts of " + std::to_string(spec.prefetch));
        }
        count /= spec.prefetch;
      }
      digits_.push_back({static_cast<std::size_t>(level), count});
    }
  }

  // What lies beyond the capacity goes round, as in the linear mappers.
  Address map(std::int64_t byte_address) const override {
    std::int64_t rest = byte_address / burst_bytes_;
    Address address{};
    for (const auto& digit : digits_) {
      address[digit.level] = static_cast<std::int32_t>(rest % digit.count);
      rest /= digit.count;
    }
    return address;
  }
  std::int64_t end_address() const override {
    return std::accumulate(digits_.begin(), digits_.end(), burst_bytes_, [](std::int64_t bytes, const Digit& digit) { return bytes * digit.count; });
  }
  std::int64_t bytes_between_blocks() const override {
    std::int64_t bytes = burst_bytes_;
    for (const auto& digit : digits_) {
      if (static_cast<int>(digit.level) != column_level_ && digit.level != 0) break;
      bytes *= digit.count;
    }
    return bytes;
  }
  std::string name() const override { return name_; }

 private:
  struct Digit {
    std::size_t level;
    std::int64_t count;
  };
  std::string name_;
  std::int64_t burst_bytes_;
  int column_level_;
  std::vector<Digit> digits_;
};

}  // namespace

std::unique_ptr<AddressMapper> make_mixed_radix_mapper(const std::string& name, const Spec& spec) {
  std::vector<int> levels;
  if (name == "RoBaRaCoChMixed") {
    levels = {0, spec.column_level};
    for (int level = 1; level <= spec.row_level; ++level) levels.push_back(level);
  } else {
    for (int level = spec.column_level; level >= 0; --level) levels.push_back(level);
  }
  return std::make_unique<MixedRadix>(name, spec, levels);
}

std::string mapper_for_odd_counts(const std::string& name, const Spec& spec) {
  for (int level = 0; level <= spec.column_level; ++level) {
    const int count = spec.counts[static_cast<std::size_t>(level)];
    if ((count & (count - 1)) == 0) continue;
    const std::string other = name == "ChRaBaRoCo" ? "ChRaBaRoCoMixed" : "RoBaRaCoChMixed";
    if (name.ends_with("Mixed")) return "";
    return spec.levels[static_cast<std::size_t>(level)] + " counts " + std::to_string(count) + ", of which " + name + " uses only a power of two; " + other + " uses all";
  }
  return "";
}

}  // namespace moeram
