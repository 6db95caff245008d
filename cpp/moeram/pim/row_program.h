// Whole rows read and written in a given order, one after the other, by all banks of a channel in lock step: the swap of
// rows between tiers (Stratum, section 3.4), whose buffer makes every write wait for an earlier read.
#pragma once

#include <cstdint>
#include <vector>

#include "moeram/dram/device.h"

namespace moeram {

struct RowOperation {
  std::int32_t row = 0;
  bool write = false;
};

// Of one channel; the others do the same at the same time. duration: until the last row has been moved.
struct RowProgramResult {
  Cycle duration = 0;
  std::vector<std::int64_t> rows_read;     // [class], of one bank
  std::vector<std::int64_t> rows_written;  // [class], of one bank
  std::vector<std::int64_t> commands;      // [command]
};

RowProgramResult run_rows(const Spec& spec, const std::vector<RowOperation>& program, bool skip);

}  // namespace moeram
