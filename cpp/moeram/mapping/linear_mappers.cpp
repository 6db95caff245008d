// The three bit-slicing mappers of Ramulator 2.0.
#include <array>
#include <bit>
#include <numeric>

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

class LinearMapper : public AddressMapper {
 public:
  explicit LinearMapper(const Spec& spec) : layout_(spec) {}
  std::int64_t end_address() const override {
    return std::int64_t{1} << std::accumulate(layout_.bits.begin(), layout_.bits.begin() + layout_.levels, layout_.offset_bits);
  }

 protected:
  int bits(int level) const { return layout_.bits[static_cast<std::size_t>(level)]; }
  Layout layout_;
};

// Row : bank ... rank : column : channel, from the top.
class RoBaRaCoCh : public LinearMapper {
 public:
  using LinearMapper::LinearMapper;
  Address map(std::int64_t byte_address) const override {
    std::int64_t rest = byte_address >> layout_.offset_bits;
    Address address{};
    address[0] = take(rest, bits(0));
    address[static_cast<std::size_t>(layout_.column)] = take(rest, bits(layout_.column));
    for (int level = 1; level <= layout_.row; ++level) address[static_cast<std::size_t>(level)] = take(rest, bits(level));
    return address;
  }
  std::string name() const override { return "RoBaRaCoCh"; }
};

// Channel : rank ... bank : row : column, from the top.
class ChRaBaRoCo : public LinearMapper {
 public:
  using LinearMapper::LinearMapper;
  Address map(std::int64_t byte_address) const override {
    std::int64_t rest = byte_address >> layout_.offset_bits;
    Address address{};
    for (int level = layout_.levels - 1; level >= 0; --level) address[static_cast<std::size_t>(level)] = take(rest, bits(level));
    return address;
  }
  std::string name() const override { return "ChRaBaRoCo"; }
};

// Minimalist open page: blocks of four bursts spread over channels and banks, each field XORed with column bits.
// The row takes every bit that is left, beyond the capacity too.
class Mop4ClXor : public LinearMapper {
 public:
  explicit Mop4ClXor(const Spec& spec) : LinearMapper(spec) {
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
  std::string name() const override { return "MOP4CLXOR"; }
};

// As ChRaBaRoCo or with the channel lowest, where a column number counts bursts.
class BurstColumns : public LinearMapper {
 public:
  BurstColumns(const Spec& spec, bool channel_lowest) : LinearMapper(spec), channel_lowest_(channel_lowest) {
    layout_.bits[static_cast<std::size_t>(layout_.column)] = floor_log2(spec.counts[static_cast<std::size_t>(layout_.column)]);
  }
  Address map(std::int64_t byte_address) const override {
    std::int64_t rest = byte_address >> layout_.offset_bits;
    Address address{};
    if (channel_lowest_) address[0] = take(rest, bits(0));
    for (int level = layout_.levels - 1; level >= (channel_lowest_ ? 1 : 0); --level) address[static_cast<std::size_t>(level)] = take(rest, bits(level));
    return address;
  }
  std::string name() const override { return channel_lowest_ ? "HBM3-PIM-Custom" : "HBM3-PIM"; }

 private:
  bool channel_lowest_;
};

}  // namespace

namespace {

// Ramulator 2.0's mappers with row indirection: without a plug-in that fills their table they map like the plain ones.
class WithoutIndirection : public AddressMapper {
 public:
  WithoutIndirection(std::string name, std::unique_ptr<AddressMapper> plain) : name_(std::move(name)), plain_(std::move(plain)) {}
  Address map(std::int64_t byte_address) const override { return plain_->map(byte_address); }
  std::int64_t end_address() const override { return plain_->end_address(); }
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
  if (name == "RoBaRaCoCh") return std::make_unique<RoBaRaCoCh>(spec);
  if (name == "ChRaBaRoCo") return std::make_unique<ChRaBaRoCo>(spec);
  if (name == "MOP4CLXOR") return std::make_unique<Mop4ClXor>(spec);
  if (name == "RoBaRaCoChMixed" || name == "ChRaBaRoCoMixed") return make_mixed_radix_mapper(name, spec);
  if (name == "HBM3-PIM" || name == "HBM3-PIM-Custom") return std::make_unique<BurstColumns>(spec, name == "HBM3-PIM-Custom");
  if (name.ends_with(kIndirection)) {
    const std::string plain = name.substr(0, name.size() - std::string(kIndirection).size());
    return std::make_unique<WithoutIndirection>(name, make_address_mapper(plain, spec));
  }
  throw ConfigError("AddrMapper '" + name + "' is unknown" + did_you_mean(name, address_mapper_names()));
}

}  // namespace moeram
