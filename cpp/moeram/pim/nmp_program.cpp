#include "moeram/pim/nmp_program.h"

#include <algorithm>

namespace moeram {

std::int64_t NmpShape::rows_per_expert() const { return ceil_div(kMatrices * matrix_bytes(), all_banks() * row_bytes); }

std::int64_t NmpShape::local_intermediate() const { return ceil_div(intermediate_size, std::int64_t{chips} * channels); }

std::int64_t NmpShape::hidden_slice() const { return ceil_div(hidden_size, channels); }

std::int64_t NmpShape::result_rows(std::int64_t batch) const {
  return ceil_div(batch * hidden_slice() * bytes_per_activation, banks_per_channel * row_bytes);
}

std::vector<std::vector<RowPiece>> layout_expert(const NmpShape& shape) {
  // All offsets are taken over all banks together, so that an uneven share of a bank stays exact.
  const std::int64_t row = shape.row_bytes * shape.all_banks();
  const std::int64_t block = shape.mac_block_bytes * shape.all_banks();
  std::vector<std::vector<RowPiece>> rows(static_cast<std::size_t>(shape.rows_per_expert()));
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::int64_t begin = static_cast<std::int64_t>(r) * row;
    for (int m = 0; m < kMatrices; ++m) {
      const std::int64_t first = std::max(begin, m * shape.matrix_bytes());
      const std::int64_t last = std::min(begin + row, (m + 1) * shape.matrix_bytes());
      if (first >= last) continue;
      rows[r].push_back({static_cast<Matrix>(m), last == (m + 1) * shape.matrix_bytes(), ceil_div(last - first, block), last - first});
    }
  }
  return rows;
}

}  // namespace moeram
