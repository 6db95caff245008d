#include "moeram/dram/expression.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <vector>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {

Rounding rounding_from_name(const std::string& name) {
  if (name == "jedec") return Rounding::jedec;
  if (name == "jedec_ddr5") return Rounding::jedec_ddr5;
  if (name == "up") return Rounding::up;
  throw ConfigError("rounding '" + name + "' is unknown" + did_you_mean(name, {"jedec", "jedec_ddr5", "up", "f32_scale"}));
}

std::int64_t to_cycles(double time_ns, std::int64_t tck_ps, Rounding rounding) {
  if (tck_ps <= 0) throw ConfigError("a time in ns needs tCK_ps, which is not known at this place");
  if (rounding == Rounding::up) {
    // A hair below the next whole cycle is that cycle: 22.88 ns is not exact in binary.
    return static_cast<std::int64_t>(std::ceil(time_ns * 1000.0 / static_cast<double>(tck_ps) - 1e-9));
  }
  const auto t_ps = static_cast<std::int64_t>(static_cast<float>(time_ns) * 1000.0F);
  if (rounding == Rounding::jedec_ddr5) return (t_ps * 997 / tck_ps + 1000) / 1000;
  return (t_ps * 1000 / tck_ps + 974) / 1000;
}

namespace {

// Recursive descent: conditional > or > and > comparison > sum > product > unary > atom.
class Parser {
 public:
  Parser(const std::string& text, const ExpressionContext& context) : text_(text), context_(context) {}

  double run() {
    const double value = conditional();
    skip();
    if (at_ != text_.size()) fail("unexpected '" + text_.substr(at_) + "'");
    return value;
  }

 private:
  double conditional() {
    const double first = either();
    if (!take_word("if")) return first;
    const double condition = either();
    if (!take_word("else")) fail("'else' is missing");
    const double second = conditional();
    return condition != 0 ? first : second;
  }

  double either() {
    double value = both();
    while (take_word("or")) {
      const double next = both();
      value = value != 0 || next != 0;
    }
    return value;
  }

  double both() {
    double value = comparison();
    while (take_word("and")) {
      const double next = comparison();
      value = value != 0 && next != 0;
    }
    return value;
  }

  double comparison() {
    const double left = sum();
    if (take("<=")) return left <= sum();
    if (take(">=")) return left >= sum();
    if (take("==")) return left == sum();
    if (take("!=")) return left != sum();
    if (take("<")) return left < sum();
    if (take(">")) return left > sum();
    return left;
  }

  double sum() {
    double value = product();
    while (true) {
      if (take("+")) {
        value += product();
      } else if (take("-")) {
        value -= product();
      } else {
        return value;
      }
    }
  }

  double product() {
    double value = unary();
    while (true) {
      if (take("*")) {
        value *= unary();
      } else if (take("/")) {
        const double divisor = unary();
        if (divisor == 0) fail("division by zero");
        value /= divisor;
      } else {
        return value;
      }
    }
  }

  double unary() { return take("-") ? -unary() : atom(); }

  double atom() {
    skip();
    if (take("(")) {
      const double value = conditional();
      expect(")");
      return value;
    }
    const std::size_t start = at_;
    if (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      while (at_ < text_.size() && (std::isdigit(static_cast<unsigned char>(text_[at_])) || text_[at_] == '.')) ++at_;
      if (const auto value = parse_number(text_.substr(start, at_ - start))) return *value;
      fail("bad number");
    }
    const std::string name = word();
    if (name.empty()) fail("a number or a name is expected");
    return take("(") ? call(name) : context_.value_of(name);
  }

  double call(const std::string& name) {
    std::vector<double> arguments;
    do arguments.push_back(conditional());
    while (take(","));
    expect(")");
    const auto cycles = [&](Rounding rounding) { return static_cast<double>(to_cycles(arguments[0], context_.tck_ps, rounding)); };
    if (name == "trunc") return std::trunc(arguments[0]);
    if (name == "floor") return std::floor(arguments[0]);
    if (name == "ceil") return std::ceil(arguments[0]);
    if (name == "round") return std::round(arguments[0]);
    if (name == "max") return *std::max_element(arguments.begin(), arguments.end());
    if (name == "min") return *std::min_element(arguments.begin(), arguments.end());
    if (name == "f32_scale") return single_precision_scale(arguments);
    if (name == "jedec") return cycles(Rounding::jedec);
    if (name == "jedec_ddr5") return cycles(Rounding::jedec_ddr5);
    if (name == "up") return cycles(Rounding::up);
    fail("function '" + name + "' is unknown" +
         did_you_mean(name, {"trunc", "floor", "ceil", "round", "max", "min", "jedec", "jedec_ddr5", "up"}));
  }

  // k * (total * nRAS / (nRAS + nRP)) + total * nRP / (nRAS + nRP), every step in single precision as 2.0 computes it.
  double single_precision_scale(const std::vector<double>& arguments) {
    if (arguments.size() != 4) fail("f32_scale takes four arguments");
    const auto factor = static_cast<float>(arguments[0]);
    const auto total = static_cast<float>(arguments[1]);
    const auto ras = static_cast<float>(arguments[2]);
    const auto rp = static_cast<float>(arguments[3]);
    return static_cast<double>(factor * (total * ras / (ras + rp)) + total * rp / (ras + rp));
  }

  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  bool take(const std::string& symbol) {
    skip();
    if (text_.compare(at_, symbol.size(), symbol) != 0) return false;
    at_ += symbol.size();
    return true;
  }

  void expect(const std::string& symbol) {
    if (!take(symbol)) fail("'" + symbol + "' is missing");
  }

  bool take_word(const std::string& wanted) {
    skip();
    const std::size_t start = at_;
    if (word() == wanted) return true;
    at_ = start;
    return false;
  }

  std::string word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
    return text_.substr(start, at_ - start);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw ConfigError("in '" + text_ + "' at position " + std::to_string(at_ + 1) + ": " + what);
  }

  const std::string& text_;
  const ExpressionContext& context_;
  std::size_t at_ = 0;
};

}  // namespace

double evaluate(const std::string& text, const ExpressionContext& context) { return Parser(text, context).run(); }

}  // namespace moeram
