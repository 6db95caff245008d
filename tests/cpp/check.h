// What a test file needs: TEST(room, "question") { ... } with CHECK, CHECK_EQUAL, CHECK_NEAR and CHECK_THROWS.
#pragma once

#include <cmath>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace check {

struct Test {
  std::string room;
  std::string question;
  void (*run)();
};

inline std::vector<Test>& all() {
  static std::vector<Test> tests;
  return tests;
}

struct Registration {
  Registration(const char* room, const char* question, void (*run)()) { all().push_back({room, question, run}); }
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
  throw std::logic_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <class A, class B>
void equal(const char* file, int line, const char* text, const A& got, const B& wanted) {
  if (got == wanted) return;
  std::ostringstream out;
  out << text << " is " << got << ", expected " << wanted;
  fail(file, line, out.str());
}

}  // namespace check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define CHECK(condition) ((condition) ? void() : check::fail(__FILE__, __LINE__, #condition))
#define CHECK_EQUAL(got, wanted) check::equal(__FILE__, __LINE__, #got, got, wanted)
#define CHECK_NEAR(got, wanted, tolerance) \
  (std::abs((got) - (wanted)) <= (tolerance) ? void() : check::fail(__FILE__, __LINE__, #got " = " + std::to_string(got) + ", expected " + std::to_string(wanted)))
#define CHECK_THROWS(expression, type, part)                                                                       \
  try {                                                                                                            \
    (void)(expression);                                                                                            \
    check::fail(__FILE__, __LINE__, #expression " did not throw");                                                 \
  } catch (const type& error) {                                                                                    \
    if (std::string(error.what()).find(part) == std::string::npos) check::fail(__FILE__, __LINE__, std::string("message: ") + error.what()); \
  }
#define TEST(room, question)                                                                                       \
  static void CHECK_JOIN(test_, __LINE__)();                                                                       \
  static const check::Registration CHECK_JOIN(registration_, __LINE__)(#room, question, CHECK_JOIN(test_, __LINE__)); \
  static void CHECK_JOIN(test_, __LINE__)()
