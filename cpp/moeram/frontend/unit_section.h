// What a standard's section `unit` says, as far as front ends ask: buffers, and which instructions fill them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/dram/spec.h"

namespace moeram {

struct UnitSection {
  // What an instruction does to values (docs/pim.md); only what bounds its operands is kept.
  struct Meaning {
    std::string does;
    std::string buffer, to;
    std::vector<int> by;  // levels at which there is one such buffer each
  };
  std::map<std::string, std::int64_t> accesses;  // [buffer] that it holds
  bool counts_columns = false;                   // instructions say how many columns; the next ones of a row go on where the last ended
  std::map<std::string, Meaning> meanings;       // [instruction]
};

// `operations`: the instructions that there are. Throws ConfigError: a key, buffer, level or word that is unknown, a size out of its range.
UnitSection read_unit_section(const Params& unit, const std::vector<std::string>& operations, const Spec& spec);

}  // namespace moeram
