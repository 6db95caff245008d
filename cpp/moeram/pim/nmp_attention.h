// Decode attention of one layer on near-memory chips: groups of ring-adjacent units share the heads, and the units of a
// group the tokens of each head's cache (Stratum, section 2.6).
#pragma once

#include <cstdint>
#include <vector>

#include "moeram/dram/device.h"
#include "moeram/pim/nmp_program.h"
#include "moeram/pim/nmp_unit.h"

namespace moeram {

// One key and value head of one request. Token t lies in unit t mod units_per_group, in the rows from key_row and value_row on.
struct AttentionHead {
  std::int64_t tokens = 0;      // attended to, those of this step included
  std::int64_t new_tokens = 0;  // the last of them: written first
  std::int32_t key_row = 0;
  std::int32_t value_row = 0;
};

struct AttentionTask {
  int units_per_group = 1;
  int queries_per_head = 1;  // query heads that share the key and value head, times the step's tokens of a request
  int head_size = 128;
  int bytes_per_value = 2;  // of a key or value in the cache
  std::vector<std::vector<AttentionHead>> groups;  // of all chips, groups of one chip side by side
};

struct AttentionOptions {
  std::int32_t result_row = 0;
  bool overlap_softmax = true;  // keys of the next head before the values of this one
  bool skip = true;
  bool reuse_identical_groups = true;
};

// Cycles of the DRAM clock; rows, tokens and commands of all chips. Busy times are of the group that ends last.
struct AttentionResult {
  Cycle duration = 0;
  Cycle link_in = 0, all_gather = 0, tensor = 0, softmax = 0, exchange = 0, reducer = 0, reduce_scatter = 0, link_out = 0;
  std::vector<std::int64_t> rows_read;       // [class], one for each bank
  std::vector<std::int64_t> rows_written;    // [class], results included
  std::vector<std::int64_t> tokens_read;     // [unit of all chips], keys; as many values
  std::vector<std::int64_t> tokens_written;  // [unit of all chips]
  std::int64_t macs = 0;
  std::int64_t link_bytes = 0;  // queries, new keys and values in, outputs out
};

// Throws CapacityError if scores or partial sums overflow a unit's buffers or rows lie outside a bank; ConfigError for a
// task that does not fit the chip.
AttentionResult run_attention(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit, const AttentionTask& task,
                              const AttentionOptions& options);

}  // namespace moeram
