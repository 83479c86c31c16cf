// One decoding step of self-attention with a cache of keys and values. A warp does one head of one
// row: scores of all positions into shared memory, softmax over them, then the weighted sum of
// values, so that loads wait for no arithmetic and neither head size nor length has a bound in
// registers. Lanes form groups, each of which reads one position's part of 16 bytes a lane.
#include <algorithm>
#include <cmath>

#include "device/reduce.cuh"
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kMostWarps = 4;
constexpr int kTogether = 4;  // positions whose loads are under way at once

template <class T>
struct Step {
  T *out, *key_cache, *value_cache;
  const T* qkv;
  const int* ancestors;  // null: every row its own
  int64_t out_stride, qkv_stride;
  int rows, length, heads, size, position;

  // The row whose cache holds what row r sees at position p. A table that points outside the cache
  // gives wrong results, not wrong addresses.
  DEVICE int ancestor(int r, int p) const {
    return ancestors ? min(max(ancestors[int64_t{r} * length + p], 0), rows - 1) : r;
  }
  DEVICE int64_t cached(int r, int p) const { return (int64_t{r} * length + p) * heads * size; }
  // What row r sees at positions p, p + apart .., keys (part 1) or values (part 2); beyond the
  // newest position: the newest. Those come from qkv: the row that holds them in the cache may not
  // be written yet.
  DEVICE void find(const T* (&seen)[kTogether], int r, int p, int apart, int part) const {
    int from[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; k++) from[k] = ancestor(r, min(p + k * apart, position));
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      const int at = min(p + k * apart, position);
      const T* old = (part == 1 ? key_cache : value_cache) + cached(from[k], at);
      const T* newest = qkv + from[k] * qkv_stride + part * heads * size;
      seen[k] = at == position ? newest : old;
    }
  }
};

// Bound by memory: keys and values of all positions once. N neighbours make one access; `sharing`
// lanes, a power of two, read one position.
template <class T, int N>
__global__ void __launch_bounds__(kMostWarps * 32)
    attend_cache_kernel(Step<T> step, int sharing, float scale) {
  const int lane = lane_id();
  const int warp = uniform(warp_id());
  const int item = blockIdx.x * (blockDim.x / 32) + warp;
  if (item >= step.rows * step.heads) return;  // whole warps; no barrier follows
  const int row = item / step.heads;
  const int column = item % step.heads * step.size;
  const int count = step.position + 1;
  float* weights = dynamic_shared<float>() + warp * count;

  const T* own = step.qkv + row * step.qkv_stride + column;
  const int channels = step.heads * step.size;
  for (int i = lane * N; i < step.size; i += 32 * N) {
    const int64_t at = step.cached(row, step.position) + column + i;
    const auto key = load_raw<N>(own + channels + i);
    const auto value = load_raw<N>(own + 2 * channels + i);
    store(step.key_cache + at, key);
    store(step.value_cache + at, value);
  }

  const int first = lane % sharing * N;
  const int groups = 32 / sharing;
  float largest = -INFINITY;
  for (int base = 0; base < count; base += kTogether * groups) {
    const int p = base + lane / sharing;
    const T* keys[kTogether];
    float sums[kTogether] = {};
    step.find(keys, row, p, groups, 1);
    for (int i = first; i < step.size; i += sharing * N) {
      float x[N];
      load(x, own + i);
#pragma unroll
      for (int k = 0; k < kTogether; k++) {
        float y[N];
        load(y, keys[k] + column + i);
#pragma unroll
        for (int e = 0; e < N; e++) sums[k] = fmaf(x[e], y[e], sums[k]);
      }
    }
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      for (int offset = sharing / 2; offset > 0; offset /= 2)
        sums[k] += __shfl_xor_sync(kAllLanes, sums[k], offset);
      if (p + k * groups >= count) continue;
      largest = fmaxf(largest, sums[k] * scale);
      if (lane % sharing == 0) weights[p + k * groups] = sums[k] * scale;
    }
  }
  __syncwarp();
  largest = warp_max(largest);
  float total = 0.0f;
  for (int p = lane; p < count; p += 32) {
    const float x = expf(weights[p] - largest);
    weights[p] = x;
    total += x;
  }
  const float factor = __fdividef(1.0f, warp_sum(total));
  __syncwarp();

  // The loop is the same for all lanes, because they exchange sums in it.
  for (int turn = 0; turn < step.size; turn += sharing * N) {
    const int i = turn + first;
    float sum[N] = {};
    for (int p = lane / sharing; p < count && i < step.size; p += kTogether * groups) {
      const T* values[kTogether];
      step.find(values, row, p, groups, 2);
#pragma unroll
      for (int k = 0; k < kTogether; k++) {
        const int at = p + k * groups;
        const float weight = at < count ? weights[at] : 0.0f;
        float x[N];
        load(x, values[k] + column + i);
#pragma unroll
        for (int e = 0; e < N; e++) sum[e] = fmaf(weight, x[e], sum[e]);
      }
    }
    for (int offset = sharing; offset < 32; offset *= 2)
#pragma unroll
      for (int e = 0; e < N; e++) sum[e] += __shfl_xor_sync(kAllLanes, sum[e], offset);
    if (i < step.size && lane < sharing) {
#pragma unroll
      for (int e = 0; e < N; e++) sum[e] *= factor;
      store(step.out + row * step.out_stride + column + i, sum);
    }
  }
}

template <class T, int N>
void launch_step(const Step<T>& step, Stream& stream) {
  int sharing = 1;
  while (sharing < 32 && sharing * N < step.size) sharing *= 2;
  // Warps of a block are independent: few of them while there are fewer warps than room for them.
  const int64_t items = int64_t{step.rows} * step.heads;
  const size_t bytes = sizeof(float) * (step.position + 1);
  const int busy = static_cast<int>(
      std::min<int64_t>(ceil_div<int64_t>(items, gpu(stream).multiprocessors()), kMostWarps));
  const int warps = bytes * busy > 48 * 1024 ? 1 : std::max(busy, 1);
  launch(attend_cache_kernel<T, N>, dim3(static_cast<unsigned>(ceil_div<int64_t>(items, warps))),
         warps * 32, bytes * warps, stream, step, sharing,
         1 / std::sqrt(static_cast<float>(step.size)));
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void attend_cache(Tensor out, Tensor key_cache, Tensor value_cache, Tensor qkv, Tensor ancestors,
                  int heads, int position, Stream& stream) {
  with_float_type(out, [&]<class T>(T) {
    const Step<T> step{data<T>(out),   data<T>(key_cache),   data<T>(value_cache),
                       data<T>(qkv),   data<int>(ancestors), out.row_stride,
                       qkv.row_stride, out.shape[0],         key_cache.shape[1],
                       heads,          out.shape[1] / heads, position};
    constexpr int N = kVector<T>;
    const bool wide = aligned(out, key_cache, value_cache, qkv) && step.size % N == 0 &&
                      out.row_stride % N == 0 && qkv.row_stride % N == 0;
    if (wide) {
      launch_step<T, N>(step, stream);
    } else {
      launch_step<T, 1>(step, stream);
    }
  });
}

}  // namespace cuda
