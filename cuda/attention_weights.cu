// Where queries look: the probabilities of attention without its values, for pictures. A block has
// one query; its warps take the keys in turn, a lane some channels of each.
#include <cmath>

#include "device/reduce.cuh"
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

struct Keys {
  const int* query_offsets;  // [rows + 1]
  const int* key_offsets;    // [rows / rows_per_key + 1]
  int rows, rows_per_key, max_keys;

  // The row of text that a query belongs to.
  DEVICE int row_of(int query) const {
    int low = 0, high = rows - 1;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (query_offsets[middle + 1] > query) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
};

// out [queries, columns]. Bound by the keys, which every query of an image reads: keys x heads x
// size x sizeof(T) bytes from the second-level cache a query. Dynamic shared memory: 2 x max_keys
// floats.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    attention_weights_kernel(float* out, const T* q, const T* k, Keys keys, int heads, int size,
                             int64_t q_stride, int64_t k_stride, int columns) {
  const auto query = static_cast<int>(blockIdx.x);
  const int group = keys.row_of(query) / keys.rows_per_key;
  const int first = keys.key_offsets[group];
  const int count = min(keys.key_offsets[group + 1] - first, keys.max_keys);
  const auto thread = static_cast<int>(threadIdx.x);
  float* scores = dynamic_shared<float>();
  float* shares = scores + keys.max_keys;  // only their own thread touches them
  for (int j = thread; j < count; j += kThreads) shares[j] = 0.0f;
  const float scale = rsqrtf(static_cast<float>(size));
  for (int head = 0; head < heads; head++) {
    const T* q_head = q + query * q_stride + int64_t{head} * size;
    const T* k_head = k + first * k_stride + int64_t{head} * size;
    for (int j = warp_id(); j < count; j += kWarps) {
      float sum = 0.0f;
      for (int c = lane_id() * N; c < size; c += 32 * N) {
        float a[N], b[N];
        load(a, q_head + c);
        load(b, k_head + j * k_stride + c);
#pragma unroll
        for (int i = 0; i < N; i++) sum += a[i] * b[i];
      }
      sum = warp_sum(sum);
      if (lane_id() == 0) scores[j] = scale * sum;
    }
    __syncthreads();
    float largest = -INFINITY;
    for (int j = thread; j < count; j += kThreads) largest = fmaxf(largest, scores[j]);
    largest = block_max<kThreads>(largest);
    float total = 0.0f;
    for (int j = thread; j < count; j += kThreads) total += expf(scores[j] - largest);
    total = block_sum<kThreads>(total);
    for (int j = thread; j < count; j += kThreads)
      shares[j] += expf(scores[j] - largest) / (total * static_cast<float>(heads));
    __syncthreads();
  }
  for (int j = thread; j < columns; j += kThreads)
    out[int64_t{query} * columns + j] = j < count ? shares[j] : 0.0f;
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void attention_weights(Tensor out, Tensor q, Tensor k, Tensor query_offsets, Tensor key_offsets,
                       int heads, int rows_per_key, int, int max_keys, Stream& stream) {
  const Keys keys{data<int>(query_offsets), data<int>(key_offsets),
                  static_cast<int>(query_offsets.size()) - 1, rows_per_key, max_keys};
  const int size = q.columns() / heads;
  const size_t shared = 2 * sizeof(float) * static_cast<size_t>(max_keys);
  with_float_type(q, [&]<class T>(T) {
    constexpr int N = kVector<T>;
    const bool together =
        aligned(q, k) && size % N == 0 && q.row_stride % N == 0 && k.row_stride % N == 0;
    launch(together ? attention_weights_kernel<T, N> : attention_weights_kernel<T, 1>,
           static_cast<unsigned>(q.rows()), kThreads, shared, stream, data<float>(out), data<T>(q),
           data<T>(k), keys, heads, size, q.row_stride, k.row_stride, out.columns());
  });
}

}  // namespace cuda
