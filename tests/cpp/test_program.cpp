// Do the rows of an expert hold each of its weights exactly once?
#include <array>
#include <random>

#include "check.h"
#include "support.h"

using namespace moeram;

namespace {

NmpShape shape_of(std::int64_t hidden, std::int64_t intermediate, int chips) {
  NmpShape shape;
  shape.hidden_size = hidden;
  shape.intermediate_size = intermediate;
  shape.chips = chips;
  return shape;
}

void check_layout(const NmpShape& shape) {
  const auto rows = layout_expert(shape);
  CHECK_EQUAL(static_cast<std::int64_t>(rows.size()), shape.rows_per_expert());
  const std::int64_t row = shape.row_bytes * shape.chips * shape.channels * shape.banks_per_channel;
  const std::int64_t block = shape.mac_block_bytes * shape.chips * shape.channels * shape.banks_per_channel;
  std::array<std::int64_t, kMatrices> bytes{};
  int matrix = 0;
  int ends = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::int64_t filled = 0;
    for (const auto& piece : rows[r]) {
      CHECK_EQUAL(static_cast<int>(piece.matrix), matrix);  // gate, up, down in this order
      CHECK(piece.bytes_over_all_banks > 0);
      CHECK(piece.blocks * block >= piece.bytes_over_all_banks && (piece.blocks - 1) * block < piece.bytes_over_all_banks);
      bytes[static_cast<std::size_t>(matrix)] += piece.bytes_over_all_banks;
      filled += piece.bytes_over_all_banks;
      ends += piece.ends_matrix;
      matrix += piece.ends_matrix;
    }
    CHECK(filled == row || r + 1 == rows.size());  // only the last row may have room left
    CHECK(filled > 0 && filled <= row);
  }
  CHECK_EQUAL(ends, kMatrices);
  for (const auto sum : bytes) CHECK_EQUAL(sum, shape.hidden_size * shape.intermediate_size * shape.bits_per_weight / 8);
}

}  // namespace

// Delta = ceil(S_E / (N_bank * S_rb)), Stratum section 3.3: 12 MiB / 1 MiB, 336 / 6, 240 / 12.
TEST(program, "Is Delta 12, 56 and 20 rows for OLMoE/S, Mixtral/L and Llama-4-Scout/XL?") {
  CHECK_EQUAL(shape_of(2048, 1024, 1).rows_per_expert(), 12);
  CHECK_EQUAL(shape_of(4096, 14336, 6).rows_per_expert(), 56);
  CHECK_EQUAL(shape_of(5120, 8192, 12).rows_per_expert(), 20);
}

TEST(program, "Do the pieces cover each matrix exactly once, whatever the shape?") {
  for (const auto& shape : {shape_of(2048, 1024, 1), shape_of(4096, 14336, 6), shape_of(5120, 8192, 12), shape_of(1, 1, 1)}) check_layout(shape);
  std::mt19937 random(11);
  for (int i = 0; i < 300; ++i) {
    NmpShape shape = shape_of(1 + random() % 6000, 1 + random() % 15000, 1 + static_cast<int>(random() % 24));
    shape.channels = 1 << random() % 5;
    shape.banks_per_channel = 1 << random() % 5;
    shape.row_bytes = 512 << random() % 4;
    shape.bits_per_weight = 8 + 8 * static_cast<int>(random() % 4);
    shape.mac_block_bytes = 128 << random() % 3;
    check_layout(shape);
  }
}
