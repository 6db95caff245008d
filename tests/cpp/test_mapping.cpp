// Which bits of an address name which level? Worked by hand for DDR4_8Gb_x8 with two channels:
// 64 B a burst, then 1 bit of channel, none of rank, 2 of bank group, 2 of bank, 16 of row and 7 of column (in bursts of eight).
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
