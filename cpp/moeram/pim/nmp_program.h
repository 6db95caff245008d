// The work of one MoE layer on a near-memory chip and how an expert's weights lie in the rows of a bank
// (Stratum, sections 2.5 and 3.2).
#pragma once

#include <cstdint>
#include <vector>

#include "moeram/base/types.h"

namespace moeram {

// Weight matrices of an expert in the order of their rows: gate and up (hidden x intermediate), down (intermediate x hidden).
enum class Matrix : std::uint8_t { gate, up, down };
inline constexpr int kMatrices = 3;

// Model and chip as the near-memory unit sees them. Figures without a comment are published (Stratum, section 2.3).
struct NmpShape {
  int chips = 1;
  int channels = 16;
  int banks_per_channel = 16;
  std::int64_t row_bytes = 4096;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  int bits_per_weight = 16;
  int bytes_per_activation = 2;
  std::int64_t mac_block_bytes = 512;  // weights of one tensor-core cycle: 16 x 16 of two bytes (U3, U8)

  std::int64_t matrix_bytes() const { return hidden_size * intermediate_size * bits_per_weight / 8; }
  std::int64_t all_banks() const { return std::int64_t{chips} * channels * banks_per_channel; }
  std::int64_t rows_per_expert() const;  // Delta of Algorithm 1
  std::int64_t local_intermediate() const;  // columns of gate and up per processing unit
  std::int64_t hidden_slice() const;        // hidden elements per processing unit
  std::int64_t result_rows(std::int64_t batch) const;  // whole rows that take a layer's results
};

// The part of one row that belongs to one matrix.
struct RowPiece {
  Matrix matrix;
  bool ends_matrix;
  std::int64_t blocks;                 // tensor-core blocks, the last one may be partly filled
  std::int64_t bytes_over_all_banks;   // in all banks of all chips together
};

// Pieces of row 0 .. rows_per_expert() - 1. Weights are spread evenly: a bank holds 1 / all_banks() of each matrix.
std::vector<std::vector<RowPiece>> layout_expert(const NmpShape& shape);

struct ExpertTask {
  std::int32_t expert = 0;
  std::int32_t first_row = 0;
  std::int32_t tokens = 0;
};

// Experts run one at a time in this order; all processing units of all chips share each (section 2.5, step 2).
struct LayerTask {
  std::vector<ExpertTask> experts;
  std::int64_t batch = 0;
};

}  // namespace moeram
