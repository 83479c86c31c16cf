// Attention on tensor cores: bf16, head sizes 32, 64, 96 and 128. A block does one head of the rows
// that share keys, all keys and values in shared memory (or as many as fit); a warp takes strips of
// 16 queries, softmax stays in its registers (Dao et al. 2022, arXiv:2205.14135, with 64 keys a
// time).
#pragma once
#include "strip.cuh"

namespace cuda::attending {

constexpr int kForwardWarps = 4;
constexpr int kKeyTile = 64;

template <int size>
constexpr size_t forward_shared_bytes(int warps, int capacity) {
  return sizeof(bf16) * size * (2 * capacity + warps * kStrip);
}

// What a warp knows of its 16 queries: of rows lane / 4 and lane / 4 + 8, the largest score and the
// sum of exponentials so far (the lane's share of it); out [16 x size], not yet divided by it.
template <int size>
struct StripState {
  float largest[2] = {-INFINITY, -INFINITY};
  float sum[2] = {};
  float out[size / 8][4] = {};
};

// Keys tile .. tile + 64 of those in shared memory, of which the first is key `base` of the group.
// Only keys of the group below `limit` count.
template <int size>
DEVICE void attend_tile(StripState<size>& state, const uint32_t (&q)[size / 16][4], bf16* keys,
                        bf16* values, int base, int tile, int limit, const int (&seen)[2],
                        const int64_t (&element)[2], const Dropout& dropout, float scale) {
  float s[kKeyTile / 8][4] = {};
#pragma unroll
  for (int j = 0; j < kKeyTile / 16; j++)
    if (base + tile + 16 * j < limit)
#pragma unroll
      for (int i = 0; i < size / 16; i++) {
        uint32_t k[4];
        load_b<size>(k, keys, tile + 16 * j, 16 * i);
        multiply_strip(s + 2 * j, q[i], k);
      }

  const float scale2 = scale * kLog2e;
  const int first = base + tile + lane_id() % 4 * 2;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int end = min(seen[h], limit);
    float largest = state.largest[h];
#pragma unroll
    for (int j = 0; j < kKeyTile / 8; j++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        float& x = s[j][2 * h + e];
        if (first + 8 * j + e >= end) x = -INFINITY;
        largest = fmaxf(largest, x);
      }
    largest = warp_max<4>(largest);
    const float reference = largest == -INFINITY ? 0.0f : largest * scale2;
    const float correction = ptx::exp2(state.largest[h] * scale2 - reference);
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kKeyTile / 8; j++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        float& x = s[j][2 * h + e];
        x = ptx::exp2(x * scale2 - reference);
        sum += x;
      }
    state.largest[h] = largest;
    state.sum[h] = state.sum[h] * correction + sum;
#pragma unroll
    for (int i = 0; i < size / 8; i++) {
      state.out[i][2 * h] *= correction;
      state.out[i][2 * h + 1] *= correction;
    }
    if (dropout.rng) {
#pragma unroll
      for (int part = 0; part < kKeyTile / 32; part++) {
        const uint32_t kept = kept_elements<32, 4>(element[h] + base + tile + 32 * part, dropout) >>
                              (lane_id() % 4 * 2);
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int e = 0; e < 2; e++)
            if (!(kept >> (8 * j + e) & 1)) s[4 * part + j][2 * h + e] = 0.0f;
      }
    }
  }

#pragma unroll
  for (int j = 0; j < kKeyTile / 16; j++)
    if (base + tile + 16 * j < limit) {
      uint32_t p[4];
      to_operand(p, s + 2 * j);
#pragma unroll
      for (int i = 0; i < size / 16; i++) {
        uint32_t v[4];
        load_b_transposed<size>(v, values, tile + 16 * j, 16 * i);
        multiply_strip(state.out + 2 * i, p, v);
      }
    }
}

// Bound by memory at 200 keys and fewer: q, k, v and out once each, 8 * size bytes a token and
// head. `capacity`: keys that fit, a multiple of 16. Blocks of one group in y share its strips.
template <int size>
__global__ void __launch_bounds__(kForwardWarps * 32, size <= 64 ? 3 : 2)
    attention_kernel(View<bf16> out, float* log_sum_exp, View<const bf16> q, View<const bf16> k,
                     View<const bf16> v, Packing packing, Dropout dropout, float scale,
                     int capacity) {
  const int warps = blockDim.x / 32;
  const int warp = uniform(warp_id());
  const int lane = lane_id();
  bf16* keys = dynamic_shared<bf16>();
  bf16* values = keys + capacity * size;
  bf16* strip = values + capacity * size + warp * kStrip * size;
  const Group group(packing, blockIdx.x);
  if (blockIdx.y == 0) clear_gaps(out, group, size, group.queries);

  const int strips = ceil_div(group.queries.count, kStrip);
  bool resident = false;
  for (int round = blockIdx.y * warps; round < strips; round += gridDim.y * warps) {
    const int query = (round + warp) * kStrip;
    const int count = min(group.queries.count - query, kStrip);
    const bool active = count > 0;
    const int64_t row = group.queries.first + query;
    const int limit = seen_keys_limit(packing, group, query, kStrip);
    StripState<size> state;
    uint32_t operand[size / 16][4];
    int seen[2] = {};
    int64_t element[2] = {};
    if (active && group.keys.count > 0)
      copy_rows<size>(strip, q, row, group.column, kStrip, count, lane, 32);
    for (int base = 0; base < group.keys.count; base += capacity) {
      const int held = min(group.keys.count - base, capacity);
      if (!resident) {
        __syncthreads();
        const int padded = ceil_div(held, 16) * 16;
        const int64_t first = group.keys.first + base;
        copy_rows<size>(keys, k, first, group.column, padded, held, threadIdx.x, blockDim.x);
        copy_rows<size>(values, v, first, group.column, padded, held, threadIdx.x, blockDim.x);
        resident = held == group.keys.count;
      }
      ptx::cp_async_commit();
      ptx::cp_async_wait<0>();
      __syncthreads();
      if (!active) continue;
      if (base == 0) {
#pragma unroll
        for (int i = 0; i < size / 16; i++) load_a<size>(operand[i], strip, 0, 16 * i);
#pragma unroll
        for (int h = 0; h < 2; h++) {
          seen[h] = seen_keys(packing, group, query + lane / 4 + 8 * h);
          element[h] = dropout.element(packing, group, query + lane / 4 + 8 * h, 0);
        }
      }
      const int end = min(limit, base + held);
      for (int tile = 0; base + tile < end; tile += kKeyTile)
        attend_tile<size>(state, operand, keys, values, base, tile, end, seen, element, dropout,
                          scale);
    }
    if (!active) continue;

    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const float sum = warp_sum<4>(state.sum[h]);
      factor[h] = sum > 0.0f ? __fdividef(dropout.rate.scale, sum) : 0.0f;
      const int at = lane / 4 + 8 * h;
      if (log_sum_exp && lane % 4 == 0 && at < count)
        log_sum_exp[int64_t{group.head} * packing.queries + row + at] =
            sum > 0.0f ? state.largest[h] * scale + logf(sum) : 0.0f;
    }
    __syncwarp();
    put_strip<size>(strip, 0, 0, state.out, factor[0], factor[1]);
    __syncwarp();
    store_rows<size>(out, row, group.column, strip, 0, count);
    __syncwarp();
  }
}

}  // namespace cuda::attending
