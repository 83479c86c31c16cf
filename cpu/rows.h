// Blocks of rows whose size depends on the number of rows alone: sums over rows that are taken
// block by block come out the same for any number of threads.
#pragma once
#include <algorithm>
#include <cstdint>

namespace cpu {

struct RowBlocks {
  int64_t rows;
  int64_t size;
  int64_t count;

  explicit RowBlocks(int64_t all)
      : rows(all), size(std::max<int64_t>(16, (all + 31) / 32)), count((all + size - 1) / size) {}
  int64_t begin(int64_t block) const { return block * size; }
  int64_t length(int64_t block) const { return std::min(size, rows - block * size); }
};

// sums [n] += the rows of x [rows, n], in order; the rows lie `stride` elements apart.
void add_rows(float* sums, const float* x, int64_t rows, int64_t n, int64_t stride);

}  // namespace cpu
