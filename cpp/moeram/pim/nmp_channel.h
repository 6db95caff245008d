// One channel in near-memory mode: a cursor turns experts into whole-row requests, the controller issues their
// commands, the processing unit consumes the rows.
#pragma once

#include <vector>

#include "moeram/pim/nmp_unit.h"
#include "moeram/pim/row_port.h"

namespace moeram {

class NmpChannel : public RowPort {
 public:
  // `layout` and `spec` must outlive the channel.
  NmpChannel(const Spec& spec, int channel, const NmpShape& shape, const NmpUnitOptions& options,
             const std::vector<std::vector<RowPiece>>& layout, bool skip);

  // Append an expert to the cursor; `input_ready` as in NmpUnit::begin_expert.
  void add_expert(const ExpertTask& task);
  // Run until every row of the expert that is due has left its banks. Its inputs must be known by then.
  void run_expert(Cycle input_ready);
  // Write `rows` whole rows from `first_row` once their data are ready; the cycle at which the last is in its row buffer.
  Cycle write_rows(std::int32_t first_row, int rows, Cycle data_ready);

  // The state between two experts, relative to now; `frame` names the rows of this expert and those around it.
  void canonical(const Frame& frame, std::vector<std::int64_t>& out) const;

  NmpUnit& unit() { return unit_; }
  const NmpUnit& unit() const { return unit_; }
  std::int64_t mac_bytes_over_all_banks() const { return mac_bytes_; }

 private:
  void on_row(Cycle now, std::int32_t row) override;
  void top_up();

  const NmpUnitOptions& options_;
  const std::vector<std::vector<RowPiece>>& layout_;
  NmpUnit unit_;
  std::vector<ExpertTask> tasks_;
  std::size_t next_task_ = 0;        // of the row to send next
  std::size_t next_row_ = 0;
  std::size_t running_task_ = 0;     // of the row that streams next
  std::size_t running_row_ = 0;
  std::vector<Cycle> latch_free_;    // ring over the row latches
  std::int64_t sent_ = 0;
  std::int64_t streamed_ = 0;
  std::int64_t mac_bytes_ = 0;       // tokens x weight bytes, over all banks of all chips
};

}  // namespace moeram
