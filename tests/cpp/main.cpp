// moeram-tests [ROOM]: run all tests or those of one room; exit 1 if any fails, 2 if there is none.
#include <exception>
#include <iostream>

#include "check.h"

int main(int argc, char** argv) {
  const std::string room = argc > 1 ? argv[1] : "";
  int run = 0;
  int failed = 0;
  for (const auto& test : check::all()) {
    if (!room.empty() && test.room != room) continue;
    ++run;
    try {
      test.run();
    } catch (const std::exception& error) {
      ++failed;
      std::cerr << "FAILED " << test.room << ": " << test.question << "\n  " << error.what() << '\n';
    }
  }
  std::cout << run - failed << " of " << run << " tests passed\n";
  return run == 0 ? 2 : failed > 0;
}
