// A memory request on its way through a controller.
#pragma once

#include <cstdint>

#include "moeram/dram/spec.h"

namespace moeram {

// Request kinds that every standard has; all others are positions in its list of requests.
inline constexpr int kRead = 0;
inline constexpr int kWrite = 1;

struct Request {
  std::int64_t byte_address = -1;
  Address address{};          // channel first
  int kind = -1;
  int source = -1;            // core, -1 if none; of a controller of queues: 0 if it took the request from its feed
  int final_command = -1;
  int bank = -1;              // flat in the channel, -1 with wildcards
  bool counted = false;       // its row result stands in the statistics
  bool has_row = false;       // a row was opened for it and is kept open
  std::int32_t line = 0;      // of the program that asks for it, from 1; 0: unknown
  Cycle arrive = -1;
  Cycle depart = -1;
  Cycle first_command = -1;   // when the first command for it was issued
  Cycle not_before = 0;       // a fence: its final command is not issued earlier than this
  std::uint64_t tag = 0;      // the sender's own
};

}  // namespace moeram
