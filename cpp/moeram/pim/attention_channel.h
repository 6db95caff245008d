// One channel at attention: rows of keys and values in the order of the heads, consumed by the unit's tensor cores.
#pragma once

#include <vector>

#include "moeram/pim/nmp_unit.h"
#include "moeram/pim/row_port.h"

namespace moeram {

// The rows of one head's keys or values in one unit.
struct CachePass {
  std::int32_t first_row = 0;
  std::vector<std::int64_t> tokens;  // of each row
  std::int64_t token_bytes = 0;
  int queries = 1;
};

class AttentionChannel : public RowPort {
 public:
  AttentionChannel(const Spec& spec, int channel, const NmpShape& shape, const NmpUnitOptions& options, bool skip);

  void add_pass(CachePass pass) { passes_.push_back(std::move(pass)); }
  // Run until every row of the next pass has left its banks; when its last token has been used. `ready`: its queries or weights.
  Cycle run_pass(Cycle ready);

  ServiceQueue tensor, reducer, special;
  std::int64_t tokens_streamed = 0;

 private:
  void on_row(Cycle now, std::int32_t row) override;
  void top_up();

  const NmpShape& shape_;
  const NmpUnitOptions& options_;
  Cycle unit_cycle_;
  std::vector<CachePass> passes_;
  std::size_t next_pass_ = 0, next_row_ = 0;        // to ask for
  std::size_t running_pass_ = 0, running_row_ = 0;  // to stream
  std::vector<Cycle> latch_free_;
  std::int64_t sent_ = 0, streamed_ = 0;
  Cycle ready_ = 0;
};

}  // namespace moeram
