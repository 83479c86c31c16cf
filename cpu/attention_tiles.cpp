// See attention_tiles.h. Loops over whole vectors of a machine. Bound by the first-level cache.
#include "attention_tiles.h"

#include <cstring>
#include <limits>

#include "simd.h"

namespace cpu {
namespace {

// Tells the compiler that lanes are whole vectors.
SIMD_INLINE int whole_vectors(int lanes) { return lanes & -kLanes; }

}  // namespace

SIMD void load_rows(float* tile, const float* x, int64_t stride, int rows, int columns,
                    float scale) {
  const int width = padded(columns, kLanes);
  const int full = columns / kLanes * kLanes;
  for (int i = 0; i < rows; i++) {
    float* __restrict to = tile + i * width;
    const float* __restrict from = x + i * stride;
    // The next head's rows come soon, and lie too far apart for the processor to foresee.
    for (int j = 0; j < columns; j += kLanes) __builtin_prefetch(from + columns + j);
    for (int j = 0; j < full; j += kLanes)
#pragma omp simd
      for (int lane = 0; lane < kLanes; lane++) to[j + lane] = scale * from[j + lane];
    for (int j = full; j < width; j++) to[j] = j < columns ? scale * from[j] : 0;
  }
  std::memset(tile + rows * width, 0, sizeof(float) * (padded(rows, 4) - rows) * width);
}

SIMD void store_rows(float* x, int64_t stride, const float* tile, const float* factors, int step,
                     int rows, int columns) {
  const int width = padded(columns, kLanes);
  const int full = columns / kLanes * kLanes;
  for (int i = 0; i < rows; i++) {
    float* __restrict to = x + i * stride;
    const float* __restrict from = tile + i * width;
    const float factor = factors[i * step];
    for (int j = 0; j < full; j += kLanes)
#pragma omp simd
      for (int lane = 0; lane < kLanes; lane++) to[j + lane] = factor * from[j + lane];
    for (int j = full; j < columns; j++) to[j] = factor * from[j];
  }
}

SIMD void transpose(float* out, int lanes, const float* x, int ldx, int rows, int columns) {
  using Four = float __attribute__((vector_size(16)));
  const auto load = [](const float* from) {
    Four value;
    std::memcpy(&value, from, sizeof value);
    return value;
  };
  for (int j = 0; j < columns; j += 4) {
    float* to = out + j * lanes;
    for (int i = 0; i < rows; i += 4) {
      const float* from = x + static_cast<int64_t>(i) * ldx + j;
      const Four r0 = load(from), r1 = load(from + ldx);
      const Four r2 = load(from + 2 * ldx), r3 = load(from + 3 * ldx);
      const Four low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
      const Four high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
      const Four low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
      const Four high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
      const Four columns4[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                                __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                                __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                                __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
      for (int r = 0; r < 4; r++) std::memcpy(to + r * lanes + i, &columns4[r], sizeof(Four));
    }
    for (int r = 0; r < 4; r++)
      for (int i = rows; i < lanes; i++) to[r * lanes + i] = 0;
  }
}

SIMD void hide(float* scores, int all_lanes, int first, int keys, const int* visible) {
  const int lanes = whole_vectors(all_lanes);
  for (int j = first; j < keys; j++) {
    float* row = scores + j * lanes;
#pragma omp simd
    for (int i = 0; i < lanes; i++)
      row[i] = j < visible[i] ? row[i] : -std::numeric_limits<float>::infinity();
  }
}

SIMD void exponentials(float* scores, int all_lanes, int keys, float* __restrict maxima,
                       float* __restrict sums) {
  const int lanes = whole_vectors(all_lanes);
  for (int i = 0; i < lanes; i++) {
    maxima[i] = scores[i];
    sums[i] = 0;
  }
  for (int j = 1; j < keys; j++) {
    const float* __restrict row = scores + j * lanes;
#pragma omp simd
    for (int i = 0; i < lanes; i++) maxima[i] = row[i] > maxima[i] ? row[i] : maxima[i];
  }
  for (int j = 0; j < keys; j++) {
    float* __restrict row = scores + j * lanes;
#pragma omp simd
    for (int i = 0; i < lanes; i++) {
      row[i] = vexp(row[i] - maxima[i]);
      sums[i] += row[i];
    }
  }
}

SIMD void probabilities(float* scores, int all_lanes, int keys,
                        const float* __restrict log_sum_exp) {
  const int lanes = whole_vectors(all_lanes);
  for (int j = 0; j < keys; j++) {
    float* __restrict row = scores + j * lanes;
#pragma omp simd
    for (int i = 0; i < lanes; i++) row[i] = vexp(row[i] - log_sum_exp[i]);
  }
}

SIMD void scale_by(float* x, const float* factors, int n) {
#pragma omp simd
  for (int i = 0; i < n; i++) x[i] *= factors[i];
}

SIMD void softmax_gradient(float* dp, const float* p, int all_lanes, int keys,
                           float* __restrict sums) {
  const int lanes = whole_vectors(all_lanes);
  for (int i = 0; i < lanes; i++) sums[i] = 0;
  for (int j = 0; j < keys; j++) {
    const float* __restrict probability = p + j * lanes;
    const float* __restrict gradient = dp + j * lanes;
#pragma omp simd
    for (int i = 0; i < lanes; i++) sums[i] += probability[i] * gradient[i];
  }
  for (int j = 0; j < keys; j++) {
    const float* __restrict probability = p + j * lanes;
    float* __restrict gradient = dp + j * lanes;
#pragma omp simd
    for (int i = 0; i < lanes; i++) gradient[i] = probability[i] * (gradient[i] - sums[i]);
  }
}

}  // namespace cpu
