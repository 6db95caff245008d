// Is the arithmetic of the standards' files as their README says?
#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/expression.h"

using namespace moeram;

namespace {

double value(const std::string& text) {
  return evaluate(text, {[](const std::string& name) -> double {
                           if (name == "nCL") return 16;
                           if (name == "nBL") return 4;
                           if (name == "density") return 8192;
                           throw ConfigError("'" + name + "' is no parameter");
                         },
                         833});
}

}  // namespace

TEST(expression, "Do operators bind as in school?") {
  CHECK_EQUAL(value("nCL + nBL + 2 - 12"), 10);
  CHECK_EQUAL(value("2 + 3 * 4 - 10 / 4"), 11.5);
  CHECK_EQUAL(value("(2 + 3) * -4"), -20);
  CHECK_EQUAL(value("10 - 4 - 3"), 3);
  CHECK_EQUAL(value("trunc(1000000 / floor(2133 / 2))"), 938);  // README: 2133 MT/s gives 938 ps
  CHECK_EQUAL(value("max(1, nCL, 3) + min(4, 2)"), 18);
}

TEST(expression, "Does a conditional take the branch of its condition?") {
  CHECK_EQUAL(value("nCL if density > 4096 else 0"), 16);
  CHECK_EQUAL(value("1 if density <= 4096 else 2 if nBL == 4 else 3"), 2);
}

// README, "Rounding": floor((floor(ps * 1000 / tCK) + 974) / 1000) and floor((floor(ps * 997 / tCK) + 1000) / 1000).
TEST(expression, "Are times rounded as each rule says?") {
  // 7800 ns at 833 ps: 7800000000 / 833 = 9363745; (9363745 + 974) / 1000 = 9364
  CHECK_EQUAL(to_cycles(7800, 833, Rounding::jedec), 9364);
  // 360 ns: 360000000 / 833 = 432172; 433146 / 1000 = 433
  CHECK_EQUAL(to_cycles(360, 833, Rounding::jedec), 433);
  // the guard band: 25 ps over 4 cycles of 1000 ps stay 4, 26 ps make 5
  CHECK_EQUAL(to_cycles(4.025, 1000, Rounding::jedec), 4);
  CHECK_EQUAL(to_cycles(4.027, 1000, Rounding::jedec), 5);
  CHECK_EQUAL(to_cycles(0.5, 487, Rounding::jedec), 2);  // 500000 / 487 = 1026; 2000 / 1000
  CHECK_EQUAL(to_cycles(0.5, 488, Rounding::jedec), 1);  // 500000 / 488 = 1024; 1998 / 1000
  // 4003 * 997 / 1000 = 3990; 4990 / 1000 = 4.  4020 * 997 / 1000 = 4007; 5007 / 1000 = 5
  CHECK_EQUAL(to_cycles(4.003, 1000, Rounding::jedec_ddr5), 4);
  CHECK_EQUAL(to_cycles(4.02, 1000, Rounding::jedec_ddr5), 5);
  // 22.88 / 0.025 = 915.2 and 8 / 0.025 = 320 exactly
  CHECK_EQUAL(to_cycles(22.88, 25, Rounding::up), 916);
  CHECK_EQUAL(to_cycles(8.0, 25, Rounding::up), 320);
  CHECK_EQUAL(to_cycles(0.3, 100, Rounding::up), 3);  // 0.3 * 1000 is a hair above 300 in binary
  CHECK_EQUAL(value("jedec(7800)"), 9364);
  CHECK_EQUAL(value("up(8.331)"), 11);
}

TEST(expression, "Does a bad expression say where it is bad?") {
  CHECK_THROWS(value("nCL +"), ConfigError, "position 6: a number or a name is expected");
  CHECK_THROWS(value("nCL nBL"), ConfigError, "unexpected 'nBL'");
  CHECK_THROWS(value("nXX + 1"), ConfigError, "'nXX' is no parameter");
  CHECK_THROWS(value("flor(2)"), ConfigError, "did you mean 'floor'?");
  CHECK_THROWS(value("(1 + 2"), ConfigError, "')' is missing");
  CHECK_THROWS(value("1 / (nBL - 4)"), ConfigError, "division by zero");
  CHECK_THROWS(value("1 if 2"), ConfigError, "'else' is missing");
  CHECK_THROWS(rounding_from_name("jedek"), ConfigError, "did you mean 'jedec'?");
  CHECK_THROWS(to_cycles(1, 0, Rounding::jedec), ConfigError, "tCK_ps");
}

TEST(expression, "Are whole texts converted, or nothing?") {
  CHECK_EQUAL(parse_integer("0x1F").value(), 31);
  CHECK_EQUAL(parse_integer("010").value(), 8);
  CHECK_EQUAL(parse_integer("-7").value(), -7);
  for (const char* bad : {"", "8.0", "2.5e0", " 8", "8 ", "0x", "09", "99999999999999999999", "--1", "+-1"}) CHECK(!parse_integer(bad));
  CHECK_EQUAL(parse_number("1e9").value(), 1e9);
  for (const char* bad : {"", "1e", "1.0x", "nan ns"}) CHECK(!parse_number(bad));
  for (const char* good : {"true", "TRUE", "True", "yes", "On", "y"}) CHECK(parse_boolean(good).value());
  for (const char* bad : {"1", "0", "truth", ""}) CHECK(!parse_boolean(bad));
}
