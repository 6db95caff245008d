// One MoE layer on one chip: channels side by side, coupled by the ring (Stratum, section 2.5 steps 1-10 and Fig 9).
#pragma once

#include <memory>
#include <vector>

#include "moeram/pim/nmp_channel.h"
#include "moeram/pim/nmp_ways.h"
#include "moeram/pim/row_meter.h"

namespace moeram {

// Throws CapacityError if a batch of which one expert gets `most_tokens` does not fit a unit's buffers.
void check_capacity(const NmpShape& shape, const NmpUnitOptions& unit, std::int64_t batch, std::int64_t most_tokens);
// The same of a layer; throws EngineError if it has no expert.
void check_capacity(const NmpShape& shape, const NmpUnitOptions& unit, const LayerTask& task);

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

// What a layer is made of; refers to what must outlive it.
struct NmpLayerParts {
  const Spec& spec;
  const NmpShape& shape;
  const NmpUnitOptions& unit;
  NmpLayerOptions options;
  const std::vector<std::vector<RowPiece>>& layout;
};

// What a layer with these NmpLayer::counts at its end found.
NmpLayerResult result_of(const NmpLayerParts& parts, const LayerTask& task, const std::vector<std::int64_t>& counts);

class NmpLayer {
 public:
  explicit NmpLayer(const NmpLayerParts& parts);

  // Listens to a channel before the run. Channel must be simulated.
  void add_listener(int channel, std::shared_ptr<CommandListener> listener);
  // Throws CapacityError if the batch does not fit the unit's buffers.
  NmpLayerResult run(const LayerTask& task);

  // The same in pieces: near-memory mode begins, the experts from `first` on follow each other, results are written.
  void begin(const LayerTask& task, std::size_t first = 0);
  void run_expert(const LayerTask& task);
  void finish(const LayerTask& task);
  // All that grows, as integers whose growth over a piece depends on the state at its beginning and on the piece alone. First the time.
  std::vector<std::int64_t> counts() const;
  // The state between two pieces relative to now; two layers with equal ones behave alike from here on as long as the rows of their
  // experts do not meet and are of the same latency classes.
  std::vector<std::int64_t> canonical(const LayerTask& task);

 private:
  Cycle now() const { return channels_[0]->controller().now(); }

  NmpLayerParts parts_;
  NmpWays ways_;
  std::size_t running_ = 0;  // the expert that is due
  Cycle input_ = 0;          // when its inputs are there
  Cycle last_reduced_ = 0;
  Cycle end_ = -1;           // when the results are in their rows; -1: not yet
  ServiceQueue ring_;
  Frame frame_;
  std::vector<std::shared_ptr<RowMeter>> row_meters_;
  std::vector<std::unique_ptr<NmpChannel>> channels_;
};

}  // namespace moeram
