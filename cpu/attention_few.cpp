// See attention_few.h. Four keys or values at a time meet all heads and queries. Bound by reading
// them.
#include "attention_few.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "simd.h"
#include "thin_product.h"

namespace cpu {
namespace {

// The rows of x [rows, n] become probabilities.
SIMD void softmax_rows(float* x, int rows, int n, float scale) {
  for (int row = 0; row < rows; row++, x += n) {
    float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
    for (int i = 0; i < n; i++) maximum = x[i] > maximum ? x[i] : maximum;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; i++) {
      x[i] = vexp(scale * (x[i] - maximum));
      sum += x[i];
    }
    const float factor = 1 / sum;
    for (int i = 0; i < n; i++) x[i] *= factor;
  }
}

// out = weights v.
SIMD void weigh_values(const FewQueries& few) {
  const int columns = few.heads * few.size;
  for (int i = 0; i < few.queries; i++) std::fill_n(few.out + i * few.out_stride, columns, 0.0f);
  for (int key = 0; key < few.keys; key += 4) {
    const int count = std::min(4, few.keys - key);
    for (int head = 0; head < few.heads; head++) {
      // A value that is not there is the last one with a weight of zero.
      const float* v[4];
      for (int j = 0; j < 4; j++)
        v[j] = few.v + (key + std::min(j, count - 1)) * few.v_stride + head * few.size;
      for (int i = 0; i < few.queries; i++) {
        const float* from = few.weights + (head * few.queries + i) * few.keys + key;
        float w[4] = {};
        std::copy_n(from, count, w);
        float* __restrict out = few.out + i * few.out_stride + head * few.size;
#pragma omp simd
        for (int c = 0; c < few.size; c++)
          out[c] += w[0] * v[0][c] + w[1] * v[1][c] + (w[2] * v[2][c] + w[3] * v[3][c]);
      }
    }
  }
}

}  // namespace

void attend_few(const FewQueries& few) {
  for (int key = 0; key < few.keys; key += 4)
    for (int head = 0; head < few.heads; head++)
      multiply_thin({few.weights + head * few.queries * few.keys + key, few.keys,
                     few.q + head * few.size, few.q_stride,
                     few.k + key * few.k_stride + head * few.size, few.k_stride, few.queries,
                     std::min(4, few.keys - key), few.size});
  softmax_rows(few.weights, few.heads * few.queries, few.keys,
               1 / std::sqrt(static_cast<float>(few.size)));
  weigh_values(few);
}

}  // namespace cpu
