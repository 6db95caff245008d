// What the same instructions leave, played again and again, one turn behind the other.
#pragma once

#include <cstdint>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

struct Turns {
  std::vector<Cycle> end;            // [turns + 1] the engine's cycle behind each; the first is 0
  std::vector<std::int64_t> issued;  // [turns + 1][command] until then
  std::int64_t period_begin = 0;     // after so many turns and after `period` more the state was the same
  std::int64_t period = 0;           // 0: no state came back
};

}  // namespace moeram
