// Do the layers of a monolithic stack become the published tiers?
#include <array>

#include "check.h"
#include "moeram/base/errors.h"
#include "support.h"

using namespace moeram;

namespace {

// Stratum (arXiv 2510.05245), Table 1: tRCD in ns of tiers 1 to 8; tRP 4.77 ns; tRAS = tRCD + 27.50 ns.
constexpr std::array<double, 8> kPublishedTrcd = {2.29, 3.92, 5.99, 8.50, 11.44, 14.82, 18.63, 22.88};

DeviceOptions stratum() {
  DeviceOptions options;
  options.organization_preset = "Stratum_32GB";
  options.timing_preset = "NearMemory_25ps";
  return options;
}

}  // namespace

TEST(tiers, "Does the layer model meet every published tRCD within 0.005 ns?") {
  CHECK_NEAR(layer_trcd_ns(1), 1.11, 0.005);
  for (int tier = 1; tier <= 8; ++tier) CHECK_NEAR(layer_trcd_ns(128 * tier), kPublishedTrcd[static_cast<std::size_t>(tier - 1)], 0.005);
}

TEST(tiers, "Do eight classes tile the rows with rounded-up times?") {
  const Spec spec = resolve_with_tiers(find_standard("Mono3D"), stratum(), {});
  CHECK_EQUAL(spec.classes.size(), 8u);
  std::int32_t next = 0;
  for (std::size_t tier = 0; tier < 8; ++tier) {
    const auto& item = spec.classes[tier];
    CHECK_EQUAL(item.row_begin, next);
    CHECK_EQUAL(item.row_end - item.row_begin, 4096);
    next = item.row_end;
    const double trcd = static_cast<double>(item.timing.at("nRCD")) * 0.025;
    const double trc = static_cast<double>(item.timing.at("nRC")) * 0.025;
    CHECK(trcd >= kPublishedTrcd[tier] - 0.005 && trcd <= kPublishedTrcd[tier] + 0.03);
    CHECK_NEAR(trc, kPublishedTrcd[tier] + 27.50 + 4.77, 0.06);
    CHECK_EQUAL(item.timing.at("nRC"), item.timing.at("nRAS") + spec.timing.at("nRP"));
  }
  CHECK_EQUAL(next, 32768);
}

TEST(tiers, "Does the baseline without tiering time all rows as the last tier?") {
  TierOptions options;
  options.slowest_everywhere = true;
  const Spec spec = resolve_with_tiers(find_standard("Mono3D"), stratum(), options);
  CHECK_EQUAL(spec.classes.size(), 8u);
  for (const auto& item : spec.classes) CHECK_EQUAL(item.timing.at("nRCD"), 916);  // 22.88 ns / 25 ps = 915.2
}

TEST(tiers, "Is an uneven split refused?") {
  TierOptions options;
  options.tiers = 7;
  CHECK_THROWS(tier_classes(options, 32768, 191, 25), ConfigError, "7 tiers do not divide 1024 layers");
  options.tiers = 0;
  CHECK_THROWS(tier_classes(options, 32768, 191, 25), ConfigError, "do not divide");
  options.tiers = 8;
  CHECK_THROWS(tier_classes(options, 1001, 191, 25), ConfigError, "1001 rows evenly");
  options = TierOptions{};
  for (const auto& wrong : {std::vector<int>{128, 1024}, {128, 256, 256, 512, 640, 768, 896, 1024}, {1, 2, 3, 4, 5, 6, 7, 8}}) {
    options.tier_layers = wrong;
    CHECK_THROWS(tier_classes(options, 32768, 191, 25), ConfigError, "tier_layers must name the last layer");
  }
}

TEST(tiers, "Is a class refused that changes a row which no opening command starts?") {
  DeviceOptions options = stratum();
  options.classes = {{0, 16384, {}}, {16384, 32768, {{"nRP", 300}}}};
  CHECK_THROWS(resolve(find_standard("Mono3D"), options), ConfigError, "a latency class changes 'nRP' after PRE");
  options.classes = {{0, 16384, {}}, {16384, 32768, {{"nWR", 900}}}};
  CHECK_THROWS(resolve(find_standard("Mono3D"), options), ConfigError, "may change only rows without window or sibling");
  options.classes = {{0, 16384, {}}, {16384, 32768, {{"nRCD", 300}}}};
  CHECK_EQUAL(resolve(find_standard("Mono3D"), options).classes.size(), 2u);
}

TEST(tiers, "Are classes with a gap, an overlap or an unknown parameter refused?") {
  DeviceOptions options = stratum();
  options.classes = {{0, 100, {}}, {200, 32768, {}}};
  CHECK_THROWS(resolve(find_standard("Mono3D"), options), ConfigError, "begins at row 200 where 100 is expected");
  options.classes = {{0, 100, {}}};
  CHECK_THROWS(resolve(find_standard("Mono3D"), options), ConfigError, "end at row 100 of 32768");
  options.classes = {{0, 32768, {{"nRDC", 5}}}};
  CHECK_THROWS(resolve(find_standard("Mono3D"), options), ConfigError, "'nRDC' is unknown; did you mean");
}
