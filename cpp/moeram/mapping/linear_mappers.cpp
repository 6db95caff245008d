// The three bit-slicing mappers of Ramulator 2.0.
#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/mapping/address_mapper.h"

namespace moeram {
namespace {

int floor_log2(std::int64_t value) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value))) - 1; }

// Field widths of the levels, and the bits of a transaction below them.
struct Layout {
  explicit Layout(const Spec& spec) : levels(static_cast<int>(spec.levels.size())), row(spec.row_level), column(spec.column_level) {
    for (int level = 0; level < levels; ++level) bits[static_cast<std::size_t>(level)] = floor_log2(spec.counts[static_cast<std::size_t>(level)]);
    auto& column_bits = bits[static_cast<std::size_t>(column)];
    column_bits -= floor_log2(spec.prefetch);
    if (column_bits < 0) throw ConfigError("a row of " + spec.standard + " is shorter than one burst");
    offset_bits = floor_log2(spec.transaction_bytes());
  }
  std::array<int, kMaxLevels> bits{};
  int levels;
  int row;
  int column;
  int offset_bits = 0;
};

std::int32_t take(std::int64_t& rest, int bits) {
  const auto field = static_cast<std::int32_t>(rest & ((std::int64_t{1} << bits) - 1));
  rest >>= bits;
  return field;
}

// Every level is a field of bits; `order` names them from the lowest up.
class BitFields : public AddressMapper {
 public:
  BitFields(std::string name, const Layout& layout, const std::vector<int>& order) : name_(std::move(name)) {
    int shift = layout.offset_bits;
    bool below_blocks = true;
    for (const int level : order) {
      below_blocks = below_blocks && (level == 0 || level == layout.column);
      if (below_blocks) block_bits_ = shift + layout.bits[static_cast<std::size_t>(level)];
      const auto l = static_cast<std::size_t>(level);
      fields_[l] = {std::min(shift, 63), (std::int64_t{1} << layout.bits[l]) - 1};
      shift += layout.bits[l];
    }
    end_ = std::int64_t{1} << std::min(shift, 62);
  }
  Address map(std::int64_t byte_address) const override {
    Address address;
    for (std::size_t level = 0; level < address.size(); ++level) {
      address[level] = static_cast<std::int32_t>(byte_address >> fields_[level].shift & fields_[level].mask);
    }
    return address;
  }
  std::int64_t end_address() const override { return end_; }
  std::int64_t bytes_between_blocks() const override { return std::int64_t{1} << block_bits_; }
  std::string name() const override { return name_; }

 private:
  struct Field {
    int shift = 0;
    std::int64_t mask = 0;  // levels that a standard lacks stay 0
  };
  std::string name_;
  std::array<Field, kMaxLevels> fields_;
  std::int64_t end_ = 0;
  int block_bits_ = 0;
};

std::vector<int> upwards(int first, int last) {
  std::vector<int> levels;
  for (int level = first; level <= last; ++level) levels.push_back(level);
  return levels;
}

// Row : bank ... rank : column : channel, from the top.
std::unique_ptr<AddressMapper> make_ro_ba_ra_co_ch(const std::string& name, const Spec& spec) {
  std::vector<int> order = {0, spec.column_level};
  for (const int level : upwards(1, spec.row_level)) order.push_back(level);
  return std::make_unique<BitFields>(name, Layout(spec), order);
}

// Channel : rank ... bank : row : column, from the top.
std::unique_ptr<AddressMapper> make_ch_ra_ba_ro_co(const std::string& name, const Spec& spec) {
  std::vector<int> order = upwards(0, static_cast<int>(spec.levels.size()) - 1);
  std::reverse(order.begin(), order.end());
  return std::make_unique<BitFields>(name, Layout(spec), order);
}

// As ChRaBaRoCo or with the channel lowest, where a column number counts bursts.
std::unique_ptr<AddressMapper> make_burst_columns(const std::string& name, const Spec& spec, bool channel_lowest) {
  Layout layout(spec);
  layout.bits[static_cast<std::size_t>(layout.column)] = floor_log2(spec.counts[static_cast<std::size_t>(layout.column)]);
  std::vector<int> order = upwards(0, layout.levels - 1);
  std::reverse(order.begin(), order.end());
  if (channel_lowest) std::rotate(order.begin(), order.end() - 1, order.end());
  return std::make_unique<BitFields>(name, layout, order);
}

// Minimalist open page: blocks of four bursts spread over channels and banks, each field XORed with column bits.
// The row takes every bit that is left, beyond the capacity too.
class Mop4ClXor : public AddressMapper {
 public:
  explicit Mop4ClXor(const Spec& spec) : layout_(spec) {
    if (bits(layout_.column) < 2) throw ConfigError("MOP4CLXOR needs rows of at least four bursts");
  }
  Address map(std::int64_t byte_address) const override {
    std::int64_t rest = byte_address >> layout_.offset_bits;
    Address address{};
    std::int32_t column = take(rest, 2);
    for (int level = 0; level < layout_.row; ++level) address[static_cast<std::size_t>(level)] = take(rest, bits(level));
    column |= take(rest, bits(layout_.column) - 2) << 2;
    address[static_cast<std::size_t>(layout_.row)] = static_cast<std::int32_t>(rest);
    int shift = 0;
    for (int level = 0; level <= layout_.row; ++level) {
      if (bits(level) == 0) continue;
      address[static_cast<std::size_t>(level)] ^= (column >> shift) & ((std::int32_t{1} << bits(level)) - 1);
      shift += bits(level);
    }
    address[static_cast<std::size_t>(layout_.column)] = column;
    return address;
  }
  std::int64_t end_address() const override { return std::int64_t{1} << std::accumulate(layout_.bits.begin(), layout_.bits.begin() + layout_.levels, layout_.offset_bits); }
  // Rows alone differ: the bits that are mixed into all other fields are the same.
  std::int64_t bytes_between_blocks() const override { return end_address() >> bits(layout_.row); }
  std::string name() const override { return "MOP4CLXOR"; }

 private:
  int bits(int level) const { return layout_.bits[static_cast<std::size_t>(level)]; }
  Layout layout_;
};

// Ramulator 2.0's mappers with row indirection: without a plug-in that fills their table they map like the plain ones.
class WithoutIndirection : public AddressMapper {
 public:
  WithoutIndirection(std::string name, std::unique_ptr<AddressMapper> plain) : name_(std::move(name)), plain_(std::move(plain)) {}
  Address map(std::int64_t byte_address) const override { return plain_->map(byte_address); }
  std::int64_t end_address() const override { return plain_->end_address(); }
  std::int64_t bytes_between_blocks() const override { return plain_->bytes_between_blocks(); }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  std::unique_ptr<AddressMapper> plain_;
};

constexpr const char* kIndirection = "_with_rit";

}  // namespace

std::vector<std::string> address_mapper_names() {
  std::vector<std::string> names = {"RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR"};
  for (int i = 0; i < 3; ++i) names.push_back(names[static_cast<std::size_t>(i)] + kIndirection);
  names.insert(names.end(), {"RoBaRaCoChMixed", "ChRaBaRoCoMixed", "HBM3-PIM", "HBM3-PIM-Custom"});
  return names;
}

std::unique_ptr<AddressMapper> make_address_mapper(const std::string& name, const Spec& spec) {
  if (name == "RoBaRaCoCh") return make_ro_ba_ra_co_ch(name, spec);
  if (name == "ChRaBaRoCo") return make_ch_ra_ba_ro_co(name, spec);
  if (name == "MOP4CLXOR") return std::make_unique<Mop4ClXor>(spec);
  if (name == "RoBaRaCoChMixed" || name == "ChRaBaRoCoMixed") return make_mixed_radix_mapper(name, spec);
  if (name == "HBM3-PIM" || name == "HBM3-PIM-Custom") return make_burst_columns(name, spec, name == "HBM3-PIM-Custom");
  if (name.ends_with(kIndirection)) {
    const std::string plain = name.substr(0, name.size() - std::string(kIndirection).size());
    return std::make_unique<WithoutIndirection>(name, make_address_mapper(plain, spec));
  }
  throw ConfigError("AddrMapper '" + name + "' is unknown" + did_you_mean(name, address_mapper_names()));
}

}  // namespace moeram
