// moeram-sim: runs a Ramulator 2.0 configuration and prints Ramulator 2.0's statistics.
#include <cstdio>
#include <iostream>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/system/simulator_run.h"

namespace {

constexpr const char* kUsage =
    "usage: moeram-sim (-f FILE | -c TEXT) [-p KEY=VALUE]... [--strict] [--lists] [--max-cycles N] [--no-skip]\n"
    "                  [--folded-share]\n"
    "  -f, --config_file FILE  YAML configuration of Ramulator 2.0; its paths are relative to this folder\n"
    "  -c, --config TEXT       the same as text\n"
    "  -p, --param KEY=VALUE   override a value, e.g. MemorySystem.DRAM.timing.nRCD=20 (with -f)\n"
    "      --strict            keys and overrides that Ramulator 2.0 ignores are errors\n"
    "      --lists             controllers and plug-ins as YAML lists: no key stands twice in the statistics\n"
    "      --max-cycles N      give up once the memory has made N cycles\n"
    "      --no-skip           tick through every cycle (same results, slower)\n"
    "      --folded-share      say on standard error how much of a load/store trace was taken as repetition\n"
    "                          (same results; -p Frontend.fold=false simulates every request)\n"
    "  -h, --help              this text\n"
    "  -v, --version           version of moeram\n";

struct Arguments {
  std::optional<std::string> file;
  std::optional<std::string> text;
  std::vector<std::string> overrides;
  moeram::Cycle most_cycles = moeram::kNever;
  bool strict = false;
  bool lists = false;
  bool skip = true;
  bool folded_share = false;
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
    } else if (word == "--lists") {
      arguments.lists = true;
    } else if (word == "--max-cycles") {
      const std::string number = value();
      const auto cycles = moeram::parse_integer(number);
      if (!cycles || *cycles < 1) throw UsageError("--max-cycles " + moeram::printable(number) + ": a number of cycles is expected");
      arguments.most_cycles = *cycles;
    } else if (word == "--no-skip") {
      arguments.skip = false;
    } else if (word == "--folded-share") {
      arguments.folded_share = true;
    } else {
      throw UsageError("unknown argument '" + moeram::printable(word) + "'");
    }
  }
  if (arguments.file.has_value() == arguments.text.has_value()) throw UsageError("one of -f and -c is needed");
  return arguments;
}

// Ramulator 2.0 skips what it cannot use, and takes the rest in the order of the keys, the last of equal ones.
std::map<std::string, std::string> usable_overrides(const Arguments& arguments) {
  std::map<std::string, std::string> usable;
  for (const auto& text : arguments.overrides) {
    const auto equals = text.find('=');
    const bool whole = equals != std::string::npos && equals + 1 < text.size() && text.find('=', equals + 1) == std::string::npos;
    if (equals == 0) throw moeram::ConfigError("-p " + moeram::printable(text) + ": KEY=VALUE is expected");
    if (whole && arguments.file) {
      usable[text.substr(0, equals)] = text.substr(equals + 1);
      continue;
    }
    const std::string why = "-p " + moeram::printable(text) + (arguments.file ? ": KEY=VALUE is expected" : ": overrides go with -f only");
    if (arguments.strict) throw moeram::ConfigError(why);
    std::cerr << "warning: " << why << "; ignored, as Ramulator 2.0 does\n";
  }
  return usable;
}

void simulate(const Arguments& arguments) {
  const auto overrides = usable_overrides(arguments);
  moeram::Params config =
      arguments.file ? moeram::Params::from_file(*arguments.file) : moeram::Params::from_text(*arguments.text, "-c");
  for (const auto& [key, value] : overrides) config.override_value(key, value);
  const auto run = moeram::make_simulator_run(config, arguments.strict);
  for (const auto& warning : run->warnings()) std::cerr << "warning: " << warning << '\n';
  run->run(arguments.skip, arguments.most_cycles);
  std::cout << run->statistics(arguments.lists) << std::flush;
  if (arguments.folded_share) std::cerr << "folded_share: " << run->folded_share() << '\n';
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
  } catch (const std::bad_alloc&) {
    std::cerr << "moeram-sim: this does not fit the memory of this machine; make it smaller\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "moeram-sim: " << error.what() << '\n';
    return 2;
  }
  return 0;
}
