// Where queries look: the probabilities of attention without its values, for pictures. Bound by
// arithmetic; not written for speed, since training and decoding do without it.
#include <algorithm>
#include <cmath>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

SIMD float dot(const float* a, const float* b, int n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

// out [keys] += share softmax(scores); scores are used up.
SIMD void add_softmax(float* out, float* scores, int keys, float share) {
  float largest = scores[0];
  for (int j = 1; j < keys; j++) largest = scores[j] > largest ? scores[j] : largest;
  float sum = 0;
  for (int j = 0; j < keys; j++) {
    scores[j] = vexp(scores[j] - largest);
    sum += scores[j];
  }
  for (int j = 0; j < keys; j++) out[j] += share / sum * scores[j];
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void attention_weights(Tensor out, Tensor q, Tensor k, Tensor query_offsets, Tensor key_offsets,
                       int heads, int rows_per_key, int, int max_keys, Stream& stream) {
  const int rows = static_cast<int>(query_offsets.size()) - 1;
  const int size = q.columns() / heads;
  const float scale = 1 / std::sqrt(static_cast<float>(size));
  // Each row of text has scores of its own.
  auto* scratch = static_cast<float*>(
      stream.scratch(sizeof(float) * static_cast<size_t>(rows) * static_cast<size_t>(max_keys)));
#pragma omp parallel for schedule(dynamic)
  for (int row = 0; row < rows; row++) {
    float* scores = scratch + static_cast<int64_t>(row) * max_keys;
    const int first_key = key_offsets.i32()[row / rows_per_key];
    const int keys = key_offsets.i32()[row / rows_per_key + 1] - first_key;
    for (int query = query_offsets.i32()[row]; query < query_offsets.i32()[row + 1]; query++) {
      float* to = out.f32() + query * out.row_stride;
      std::fill_n(to, out.columns(), 0.0f);
      if (keys == 0) continue;
      for (int head = 0; head < heads; head++) {
        const float* q_row = q.f32() + query * q.row_stride + int64_t{head} * size;
        const float* k_head = k.f32() + first_key * k.row_stride + int64_t{head} * size;
        for (int j = 0; j < keys; j++)
          scores[j] = scale * dot(q_row, k_head + j * k.row_stride, size);
        add_softmax(to, scores, keys, 1.0f / static_cast<float>(heads));
      }
    }
  }
}

}  // namespace cpu
