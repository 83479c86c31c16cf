// One step of attention against a cache while decoding: a caption's newest query meets the keys of
// its ancestors, which lie in other rows of the cache once a beam has moved. Bound by reading them.
#include <omp.h>

#include <cmath>
#include <cstring>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "attention_tiles.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// One row of attend_cache. Position p's key is at keys + rows[p], its value at values + rows[p];
// the newest are in `key` and `value`. weights: [heads, position + 1] to work in.
SIMD void attend_row(float* __restrict out, const float* query, const float* keys,
                     const float* values, const int64_t* rows, const float* key, const float* value,
                     float* weights, int heads, int size, int position) {
  const int count = position + 1;
  const float scale = 1 / std::sqrt(static_cast<float>(size));
  for (int p = 0; p < count; p++) {
    const float* at = p < position ? keys + rows[p] : key;
    for (int h = 0; h < heads; h++) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int j = 0; j < size; j++) sum += query[h * size + j] * at[h * size + j];
      weights[h * count + p] = scale * sum;
    }
  }
  for (int h = 0; h < heads; h++) {
    float* w = weights + h * count;
    float maximum = w[0];
#pragma omp simd reduction(max : maximum)
    for (int p = 0; p < count; p++) maximum = w[p] > maximum ? w[p] : maximum;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int p = 0; p < count; p++) {
      w[p] = vexp(w[p] - maximum);
      sum += w[p];
    }
    for (int p = 0; p < count; p++) w[p] /= sum;
  }
  std::memset(out, 0, sizeof(float) * heads * size);
  for (int p = 0; p < count; p++) {
    const float* __restrict at = p < position ? values + rows[p] : value;
    for (int h = 0; h < heads; h++) {
      const float w = weights[h * count + p];
#pragma omp simd
      for (int j = 0; j < size; j++) out[h * size + j] += w * at[h * size + j];
    }
  }
}

}  // namespace

void attend_cache(Tensor out, Tensor key_cache, Tensor value_cache, Tensor qkv, Tensor ancestors,
                  int heads, int position, Stream& stream) {
  const int rows = out.shape[0];
  const int channels = out.shape[1];
  const int64_t length = key_cache.shape[1];
  const size_t weight_bytes = sizeof(float) * padded(heads * (position + 1), kLanes);
  const size_t bytes = weight_bytes + sizeof(int64_t) * padded(position + 1, kLanes);
  const int threads = omp_get_max_threads();
  auto* base = static_cast<char*>(stream.scratch(bytes * threads));
#pragma omp parallel for schedule(static) \
    num_threads(threads) if (int64_t{rows} * position * channels > 32768)
  for (int r = 0; r < rows; r++) {
    char* scratch = base + bytes * omp_get_thread_num();
    auto* starts = reinterpret_cast<int64_t*>(scratch + weight_bytes);
    const auto ancestor = [&](int p) { return ancestors ? ancestors.i32()[r * length + p] : r; };
    for (int p = 0; p < position; p++) starts[p] = (ancestor(p) * length + p) * channels;
    const float* own = qkv.f32() + r * qkv.row_stride;
    const int64_t stored = (r * length + position) * channels;
    std::memcpy(key_cache.f32() + stored, own + channels, sizeof(float) * channels);
    std::memcpy(value_cache.f32() + stored, own + 2 * channels, sizeof(float) * channels);
    // The newest keys come from qkv: the row that holds them in the cache may not be written yet.
    const float* newest = qkv.f32() + ancestor(position) * qkv.row_stride;
    attend_row(out.f32() + r * out.row_stride, own, key_cache.f32(), value_cache.f32(), starts,
               newest + channels, newest + 2 * channels, reinterpret_cast<float*>(scratch), heads,
               channels / heads, position);
  }
}

}  // namespace cpu
