// One MoE layer on one chip: channels side by side, coupled by the ring (Stratum, section 2.5 steps 1-10 and Fig 9).
#pragma once

#include <memory>
#include <vector>

#include "moeram/pim/nmp_channel.h"
#include "moeram/pim/row_meter.h"

namespace moeram {

// Throws CapacityError if a batch of which one expert gets `most_tokens` does not fit a unit's buffers.
void check_capacity(const NmpShape& shape, const NmpUnitOptions& unit, std::int64_t batch, std::int64_t most_tokens);

struct NmpLayerOptions {
  std::int32_t result_row = 0;  // first row of the region for results
  bool skip = true;
  int simulated_channels = 0;   // 1: the others are identical and not simulated again; 0: all
};

// Totals in cycles of the DRAM clock. Per channel where a vector is indexed by channel.
struct NmpLayerResult {
  Cycle duration = 0;
  Cycle link_in = 0, all_gather = 0, tensor = 0, reducer = 0, special_functions = 0, reduce_scatter = 0, weighted_sum = 0, link_out = 0;
  std::vector<std::int64_t> rows_read;     // [channel][class], rows of all banks
  std::vector<std::int64_t> rows_written;  // [channel][class]
  std::vector<Cycle> class_time;           // [class] of channel 0: sum of its row cycles
  std::vector<std::int64_t> commands;      // [command] of one chip
  std::int64_t mac_bytes_over_all_banks = 0;  // tokens x weight bytes as one channel's rows said, over all chips
};

class NmpLayer {
 public:
  // Throws CapacityError if the batch does not fit the unit's buffers.
  NmpLayer(const Spec& spec, const NmpShape& shape, const NmpUnitOptions& unit, const NmpLayerOptions& options,
           const std::vector<std::vector<RowPiece>>& layout);

  // Listens to a channel before the run. Channel must be simulated.
  void add_listener(int channel, std::shared_ptr<CommandListener> listener);
  NmpLayerResult run(const LayerTask& task);

 private:
  Cycle input_ready(const LayerTask& task, NmpLayerResult& result) const;
  void run_experts(const LayerTask& task, Cycle input, NmpLayerResult& result);
  Cycle finish(const LayerTask& task, NmpLayerResult& result);
  Cycle ring_cycles(std::int64_t slice_bytes) const;
  Cycle link_cycles(std::int64_t bytes) const;
  Cycle to_cycles_up(double time_ns) const;
  void collect(NmpLayerResult& result);

  const Spec& spec_;
  const NmpShape& shape_;
  const NmpUnitOptions& unit_;
  NmpLayerOptions options_;
  std::size_t rows_per_expert_;
  Cycle unit_cycle_;
  Cycle mode_switch_;
  Cycle last_reduced_ = 0;
  ServiceQueue ring_;
  std::vector<std::shared_ptr<RowMeter>> row_meters_;
  std::vector<std::unique_ptr<NmpChannel>> channels_;
};

}  // namespace moeram
