// moeram-sim: runs a Ramulator 2.0 configuration and prints Ramulator 2.0's statistics.
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/errors.h"
#include "moeram/system/simulator_run.h"

namespace {

constexpr const char* kUsage =
    "usage: moeram-sim (-f FILE | -c TEXT) [-p KEY=VALUE]... [--strict] [--no-skip]\n"
    "  -f, --config_file FILE  YAML configuration of Ramulator 2.0; its paths are relative to this folder\n"
    "  -c, --config TEXT       the same as text\n"
    "  -p, --param KEY=VALUE   override a value, e.g. MemorySystem.DRAM.timing.nRCD=20 (with -f)\n"
    "      --strict            keys that Ramulator 2.0 would silently ignore are errors\n"
    "      --no-skip           tick through every cycle (same results, slower)\n"
    "  -h, --help              this text\n"
    "  -v, --version           version of moeram\n";

struct Arguments {
  std::optional<std::string> file;
  std::optional<std::string> text;
  std::vector<std::string> overrides;
  bool strict = false;
  bool skip = true;
};

class UsageError : public moeram::Error {
  using moeram::Error::Error;
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == words.size()) throw UsageError(word + " needs a value");
      return words[++i];
    };
    if (word == "-f" || word == "--config_file") {
      arguments.file = value();
    } else if (word == "-c" || word == "--config") {
      arguments.text = value();
    } else if (word == "-p" || word == "--param") {
      arguments.overrides.push_back(value());
    } else if (word == "--strict") {
      arguments.strict = true;
    } else if (word == "--no-skip") {
      arguments.skip = false;
    } else {
      throw UsageError("unknown argument '" + word + "'");
    }
  }
  if (arguments.file.has_value() == arguments.text.has_value()) throw UsageError("one of -f and -c is needed");
  if (arguments.text && !arguments.overrides.empty()) throw UsageError("-p goes with -f only");
  return arguments;
}

void simulate(const Arguments& arguments) {
  moeram::Params config =
      arguments.file ? moeram::Params::from_file(*arguments.file) : moeram::Params::from_text(*arguments.text, "-c");
  for (const auto& text : arguments.overrides) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) throw moeram::ConfigError("-p " + text + ": KEY=VALUE is expected");
    config.override_value(text.substr(0, equals), text.substr(equals + 1));
  }
  const auto run = moeram::make_simulator_run(config, arguments.strict);
  for (const auto& warning : run->warnings()) std::cerr << "warning: " << warning << '\n';
  run->run(arguments.skip);
  std::cout << run->statistics() << std::flush;
  if (!std::cout) throw moeram::EngineError("the statistics could not be written to standard output");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (const auto& word : words) {
    if (word == "-h" || word == "--help") return std::fputs(kUsage, stdout) < 0;
    if (word == "-v" || word == "--version") return std::puts(MOERAM_VERSION) < 0;
  }
  try {
    simulate(parse(words));
  } catch (const UsageError& error) {
    std::cerr << "moeram-sim: " << error.what() << '\n' << kUsage;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "moeram-sim: " << error.what() << '\n';
    return 2;
  }
  return 0;
}
