// Sums over rows.
#include "rows.h"

#include "simd.h"

namespace cpu {

SIMD void add_rows(float* sums, const float* x, int64_t rows, int64_t n, int64_t stride) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < n; i++) sums[i] += x[row * stride + i];
}

}  // namespace cpu
