// The logic of one processing unit (channel): tensor cores, psum reducer and special function engine as queues that
// serve in order of readiness (Stratum, sections 2.2-2.5). Times are cycles of the DRAM clock.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "moeram/pim/nmp_program.h"

namespace moeram {

// Figures of the logic die; U numbers: docs/papers/stratum.md, section 9.
struct NmpUnitOptions {
  Picosecond clock_ps = 1000;                 // 1 GHz
  int row_latches = 2;                        // the 8 KB row-swap buffer of a bank holds two rows
  std::int64_t psum_bytes_per_pe = 65536;     // double buffered
  std::int64_t shared_memory_bytes = 1310720; // 1.25 MB
  int reducer_outputs_per_cycle = 16;         // assumption: one 16-wide psum vector of every PE a cycle
  int sfe_lanes = 256;
  int silu_cycles_per_vector = 12;            // U10: four simple operations, exp and reciprocal of four cycles each
  int hadamard_cycles_per_vector = 1;
  int weighted_sum_cycles_per_vector = 2;     // multiply and add
  int maximum_cycles_per_vector = 1;          // softmax, U10: one simple operation
  int exp_sum_cycles_per_vector = 6;          // subtract, exp of four cycles, add
  int reciprocal_cycles_per_vector = 4;       // U10
  std::int64_t ring_bytes_per_cycle = 128;    // U7: per direction
  int ring_hop_cycles = 2;                    // U7: router and wire
  double channel_io_gb_per_s = 51.2;          // 64 bit x 6.4 Gb/s
  double mode_switch_ns = 100;                // U11: each way, with command latency
  bool overlap_all_gather = true;             // false: the host sends the whole batch to every channel
  bool overlap_silu = true;                   // SiLU(Z1) beside the up projection
  bool overlap_reduce_scatter = true;         // reduce-scatter of an expert beside the gate projection of the next
  bool overlap_weighted_sum = true;           // false: all weighted sums after the last expert
};

// A resource that does one thing at a time.
struct ServiceQueue {
  Cycle free_at = 0;
  Cycle busy = 0;
  Cycle serve(Cycle ready, Cycle duration) {
    free_at = (ready > free_at ? ready : free_at) + duration;
    busy += duration;
    return free_at;
  }
};

class NmpUnit {
 public:
  // `cycle` is the unit's clock period in DRAM cycles.
  NmpUnit(const NmpShape& shape, const NmpUnitOptions& options, Cycle cycle);

  // Forget the previous expert; its inputs are in shared memory at `input_ready`.
  void begin_expert(std::int64_t tokens, Cycle input_ready);

  // A row starts to stream from the banks at `now`; the cycle at which its last weight has been used.
  Cycle on_row(Cycle now, const std::vector<RowPiece>& pieces);

  // When the down projection of the present expert is done.
  Cycle expert_done() const { return matrix_end_[static_cast<std::size_t>(Matrix::down)]; }

  // Queue the weighted sum of an expert whose reduced output is here at `ready`.
  void add_weighted_sum(Cycle ready, std::int64_t tokens);
  // Serve what is queued; when the last sum is ready.
  Cycle finish_sums(Cycle not_before);

  // What of the past decides the future between two experts, relative to `now`.
  void canonical(Cycle now, std::vector<std::int64_t>& out) const;

  const ServiceQueue& tensor() const { return tensor_; }
  const ServiceQueue& reducer() const { return reducer_; }
  const ServiceQueue& special_functions() const { return special_; }
  Cycle weighted_sum_busy() const { return sum_busy_; }

  Cycle reduce_cycles(std::int64_t tokens) const;
  Cycle silu_cycles(std::int64_t tokens) const;
  Cycle hadamard_cycles(std::int64_t tokens) const;
  Cycle weighted_sum_cycles(std::int64_t tokens) const;

 private:
  struct Job {
    Cycle ready;
    Cycle duration;
  };
  void end_matrix(Matrix matrix);
  Cycle serve_special(Cycle ready, Cycle duration);
  Cycle vectors(std::int64_t elements, int cycles_per_vector) const;

  const NmpShape& shape_;
  const NmpUnitOptions& options_;
  Cycle cycle_;
  std::int64_t tokens_ = 0;
  ServiceQueue tensor_, reducer_, special_;
  std::vector<Job> waiting_sums_;  // in order of readiness
  Cycle sum_busy_ = 0;
  Cycle sums_done_ = 0;
  std::array<Cycle, kMatrices> matrix_ready_{};  // when the inputs of a matrix are there
  std::array<Cycle, kMatrices> matrix_end_{};
  Cycle gate_reduced_ = 0;
  Cycle silu_done_ = 0;
};

}  // namespace moeram
