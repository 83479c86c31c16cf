// Sums and maxima over a warp or a block, in an order that is the same every time.
#pragma once
#include "device.cuh"

namespace cuda {

struct Sum {
  static constexpr float identity = 0.0f;
  DEVICE static float combine(float a, float b) { return a + b; }
};
struct Max {
  static constexpr float identity = -INFINITY;
  DEVICE static float combine(float a, float b) { return fmaxf(a, b); }
};

// x, which is the same in all lanes. Through a shuffle, because the compiler does not take a loaded
// or a thread's number for uniform, and without that it calls a function for each later shuffle.
DEVICE int uniform(int x) { return __shfl_sync(kAllLanes, x, 0); }

// The reduction over groups of `width` neighbouring lanes (a power of two), given to all of them.
// Every lane of the warp takes part.
template <class Op, int width = 32>
DEVICE float warp_reduce(float x) {
#pragma unroll
  for (int offset = width / 2; offset > 0; offset /= 2)
    x = Op::combine(x, __shfl_xor_sync(kAllLanes, x, offset));
  return x;
}
template <int width = 32>
DEVICE float warp_sum(float x) {
  return warp_reduce<Sum, width>(x);
}
template <int width = 32>
DEVICE float warp_max(float x) {
  return warp_reduce<Max, width>(x);
}

// The reduction over a block of `threads` (a multiple of 32), given to all. Begins with a barrier,
// so that calls may follow one another.
template <class Op, int threads>
DEVICE float block_reduce(float x) {
  if constexpr (threads == 32) return warp_reduce<Op>(x);
  constexpr int warps = threads / 32;
  SHARED(float, partial, [32]);
  x = warp_reduce<Op>(x);
  __syncthreads();
  if (lane_id() == 0) partial[warp_id()] = x;
  __syncthreads();
  x = lane_id() < warps ? partial[lane_id()] : Op::identity;
  return warp_reduce<Op>(x);
}
template <int threads>
DEVICE float block_sum(float x) {
  return block_reduce<Sum, threads>(x);
}
template <int threads>
DEVICE float block_max(float x) {
  return block_reduce<Max, threads>(x);
}

// Mean and sum of squared deviations of `count` numbers; merged pairwise (Chan, Golub and LeVeque
// 1979), never as E[x^2] - E[x]^2.
struct Moments {
  float count, mean, m2;
};
DEVICE Moments merge(Moments a, Moments b) {
  const float count = a.count + b.count;
  if (count == 0.0f) return {0.0f, 0.0f, 0.0f};
  const float delta = b.mean - a.mean;
  const float share = b.count / count;
  return {count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.count * share};
}

}  // namespace cuda
