// Which bits of an address name which level? Worked by hand for DDR4_8Gb_x8 with two channels:
// 64 B a burst, then 1 bit of channel, none of rank, 2 of bank group, 2 of bank, 16 of row and 7 of column (in bursts of eight).
#include <random>
#include <set>

#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/mapping/address_mapper.h"
#include "support.h"

using namespace moeram;

namespace {

Address map(const char* mapper, std::int64_t burst) {
  const Spec spec = ddr4({{"channel", 2}});
  return make_address_mapper(mapper, spec)->map(burst * 64 + 13);  // the bytes inside a burst do not matter
}

constexpr std::int64_t kChannel = 1, kGroup = 2, kBank = 1, kRow = 1000, kColumn = 90;

}  // namespace

TEST(mapping, "RoBaRaCoCh: row, bank, bank group, rank, column, channel from the top?") {
  const std::int64_t burst = (((kRow * 4 + kBank) * 4 + kGroup) * 128 + kColumn) * 2 + kChannel;
  CHECK(map("RoBaRaCoCh", burst) == address_of({1, 0, 2, 1, 1000, 90}));
  CHECK(map("RoBaRaCoCh", burst + (std::int64_t{1} << 28)) == address_of({1, 0, 2, 1, 1000, 90}));  // bits above the row are dropped
}

TEST(mapping, "ChRaBaRoCo: channel, rank, bank group, bank, row, column from the top?") {
  const std::int64_t burst = (((kChannel * 4 + kGroup) * 4 + kBank) * 65536 + kRow) * 128 + kColumn;
  CHECK(map("ChRaBaRoCo", burst) == address_of({1, 0, 2, 1, 1000, 90}));
}

// Column 90 = 1011010b: its low two bits lie lowest. XOR with column bits 0 (channel: 0), 1-2 (group: 1), 3-4 (bank: 3), 5-6 (row: 2).
TEST(mapping, "MOP4CLXOR: blocks of four bursts, each field XORed with column bits, the row unmasked?") {
  const auto burst = [](std::int64_t row) { return ((((row * 32 + kColumn / 4) * 4 + kBank) * 4 + kGroup) * 2 + kChannel) * 4 + kColumn % 4; };
  CHECK(map("MOP4CLXOR", burst(kRow)) == address_of({1, 0, 2 ^ 1, 1 ^ 3, 1000 ^ 2, 90}));
  CHECK(map("MOP4CLXOR", burst(70000)) == address_of({1, 0, 2 ^ 1, 1 ^ 3, 70000 ^ 2, 90}));
}

TEST(mapping, "Is an unknown mapper refused with the nearest name?") {
  const Spec spec = ddr4();
  CHECK_THROWS(make_address_mapper("RoBaRaCoCH", spec), ConfigError, "did you mean 'RoBaRaCoCh'?");
}

// Counts as a stack of twelve dies has them: 3 stack IDs, 24 banks; 6 columns of bursts of two, 7 rows, 5 channels.
TEST(mapping, "Does a mixed-radix mapper give each address of odd counts exactly one place?") {
  Spec spec = resolve_by_name("HBM3@2.1", "HBM3E_24bank", "HBM3_8000Mbps", {{"channel", 5}, {"row", 7}, {"column", 48}});
  std::int64_t places = 1;
  for (const int count : spec.counts) places *= count;
  places /= spec.prefetch;
  for (const char* name : {"RoBaRaCoChMixed", "ChRaBaRoCoMixed"}) {
    const auto mapper = make_address_mapper(name, spec);
    std::set<Address> seen;
    for (std::int64_t burst = 0; burst < places; ++burst) {
      const Address address = mapper->map(burst * 32 + burst % 32);
      for (std::size_t level = 0; level < spec.counts.size(); ++level) {
        const int count = spec.counts[level] / (static_cast<int>(level) == spec.column_level ? spec.prefetch : 1);
        CHECK(address[level] >= 0 && address[level] < count);
      }
      CHECK(seen.insert(address).second);
    }
    CHECK_EQUAL(static_cast<std::int64_t>(seen.size()), places);
    CHECK(mapper->map(places * 32) == mapper->map(0));
  }
}

TEST(mapping, "Are the digits of powers of two the bit fields of the linear mapper?") {
  std::mt19937_64 random(7);
  for (const Spec& spec : {ddr4({{"channel", 2}}), resolve_by_name("HBM4", "HBM4_32Gb_8Hi", "HBM4_8000Mbps"), resolve_by_name("GDDR6@2.1", "GDDR6_16Gb_x16", "GDDR6_14000_1250mV_quad")}) {
    for (const char* order : {"RoBaRaCoCh", "ChRaBaRoCo"}) {
      const auto linear = make_address_mapper(order, spec);
      const auto mixed = make_address_mapper(std::string(order) + "Mixed", spec);
      for (int i = 0; i < 2000; ++i) {
        const auto address = static_cast<std::int64_t>(random() >> (1 + i % 40));
        CHECK(linear->map(address) == mixed->map(address));
      }
      CHECK_EQUAL(mapper_for_odd_counts(order, spec), std::string());
    }
  }
}

TEST(mapping, "Is it said what a linear mapper loses on odd counts?") {
  const Spec spec = resolve_by_name("HBM4", "HBM4_32Gb_12Hi", "HBM4_8000Mbps");
  CHECK_EQUAL(mapper_for_odd_counts("RoBaRaCoCh", spec), std::string("sid counts 3, of which RoBaRaCoCh uses only a power of two; RoBaRaCoChMixed uses all"));
  CHECK_EQUAL(mapper_for_odd_counts("RoBaRaCoChMixed", spec), std::string());
  CHECK_THROWS(make_address_mapper("ChRaBaRoCoMixed", resolve_by_name("HBM4", "HBM4_32Gb_12Hi", "HBM4_8000Mbps", {{"column", 100}})), ConfigError,
               "100 columns of HBM4 are no whole number of bursts of 8");
}

// 2 channels x 4 groups x 4 banks x 65536 rows x 128 bursts x 64 bytes; of 3 channels the linear mappers use 2.
TEST(mapping, "Where do the addresses end?") {
  const std::int64_t bytes = std::int64_t{2} * 4 * 4 * 65536 * 128 * 64;
  const Spec even = ddr4({{"channel", 2}}), odd = ddr4({{"channel", 3}});
  for (const char* name : {"RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR", "RoBaRaCoCh_with_rit", "RoBaRaCoChMixed", "ChRaBaRoCoMixed"}) {
    CHECK_EQUAL(make_address_mapper(name, even)->end_address(), bytes);
    CHECK_EQUAL(make_address_mapper(name, odd)->end_address(), std::string(name).ends_with("Mixed") ? bytes / 2 * 3 : bytes);
  }
  const auto mapper = make_address_mapper("RoBaRaCoCh", even);
  CHECK(mapper->map(bytes + 4096) == mapper->map(4096));
  CHECK(mapper->map(bytes - 64) == address_of({1, 0, 3, 3, 65535, 127}));
}
