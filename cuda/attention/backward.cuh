// The gradient of attention on tensor cores, in one kernel. A block does one head of the rows that
// share keys. Each warp owns 16 keys and keeps their dk and dv in registers, while the queries pass
// by 32 at a time: probabilities are recomputed, transposed, from log-sum-exp; the gradients of
// scores go through shared memory, from which the warps together finish dq of these queries. So
// nothing is summed by atomics. Formulas: Dao et al. 2022, arXiv:2205.14135, appendix B.2.
#pragma once
#include "strip.cuh"

namespace cuda::attending {

constexpr int kQueryTile = 32;

// 13 warps of head size 64 (208 keys) fit the 99 KiB of shared memory of every GPU.
template <int size>
constexpr int kBackwardWarps = size <= 32   ? 16
                               : size <= 64 ? 13
                               : size <= 96 ? 8
                                            : 5;

// Shared memory of a block. What there is of two tiles of queries, this one and the next, lies one
// after the other: stage 0 and 1.
template <int size>
struct BackwardTiles {
  bf16* base;
  int warps;

  static constexpr size_t bytes(int warps) {
    return sizeof(bf16) * (2 * warps * kStrip * (size + kQueryTile) + 5 * kQueryTile * size) +
           6 * sizeof(float) * kQueryTile;
  }
  DEVICE int held() const { return warps * kStrip; }
  DEVICE bf16* keys() const { return base; }  // [held, size]
  DEVICE bf16* values() const { return base + held() * size; }
  DEVICE bf16* outs() const { return base + 2 * held() * size; }  // [kQueryTile, size]
  DEVICE bf16* queries(int stage) const { return outs() + (1 + stage) * kQueryTile * size; }
  DEVICE bf16* douts(int stage) const { return outs() + (3 + stage) * kQueryTile * size; }
  // Gradients of scores, [held, kQueryTile].
  DEVICE bf16* dscores(int stage) const {
    return outs() + 5 * kQueryTile * size + stage * held() * kQueryTile;
  }
  // Of each query: log-sum-exp in base 2, delta, keys seen.
  DEVICE float* log_sums(int stage) const {
    return reinterpret_cast<float*>(dscores(2)) + stage * 3 * kQueryTile;
  }
  DEVICE float* deltas(int stage) const { return log_sums(stage) + kQueryTile; }
  DEVICE int* seen(int stage) const { return reinterpret_cast<int*>(deltas(stage) + kQueryTile); }
};

struct BackwardInputs {
  View<const bf16> dout, out;
  const float* log_sum_exp;
  View<const bf16> q, k, v;
};

template <int size>
DEVICE void copy_queries(const BackwardTiles<size>& tiles, const BackwardInputs& from,
                         const Group& group, int tile, int stage) {
  const int count = group.queries.count - tile * kQueryTile;
  const int64_t row = group.queries.first + tile * kQueryTile;
  const auto copy = [&](bf16* to, const View<const bf16>& x) {
    copy_rows<size>(to, x, row, group.column, kQueryTile, count, threadIdx.x, blockDim.x);
  };
  copy(tiles.queries(stage), from.q);
  copy(tiles.douts(stage), from.dout);
  copy(tiles.outs(), from.out);
}

// Once a thread's own copies are there: delta = sum of dout out over the head, from the chunks that
// these very threads copied; and what else each query has one of.
template <int size>
DEVICE void finish_queries(const BackwardTiles<size>& tiles, const BackwardInputs& from,
                           const Packing& packing, const Group& group, int tile, int stage) {
  constexpr int kLanes = kRowThreads<size>;
  for (int i = threadIdx.x; i < kQueryTile * kLanes; i += blockDim.x) {
    const int row = i / kLanes;
    float delta = 0.0f;
#pragma unroll
    for (int c = 0; c < size / 8; c += kLanes) {
      float x[8], y[8];
      load(x, chunk_at<size>(tiles.douts(stage), row, i % kLanes + c));
      load(y, chunk_at<size>(tiles.outs(), row, i % kLanes + c));
#pragma unroll
      for (int e = 0; e < 8; e++) delta += x[e] * y[e];
    }
    delta = warp_sum<kLanes>(delta);
    if (i % kLanes == 0) {
      const int query = tile * kQueryTile + row;
      const int64_t at = int64_t{group.head} * packing.queries + group.queries.first + query;
      tiles.deltas(stage)[row] = delta;
      tiles.log_sums(stage)[row] =
          query < group.queries.count ? from.log_sum_exp[at] * kLog2e : 0.0f;
      tiles.seen(stage)[row] = seen_keys(packing, group, query);
    }
  }
}

// One warp: what 16 queries of a tile, from `first` on, add to dk and dv of its 16 keys (rows
// `strip` of the tiles, keys `key` .. of the group), and the gradients of their scores, [keys,
// queries].
template <int size>
DEVICE void key_gradients(float (&dk)[size / 8][4], float (&dv)[size / 8][4],
                          const BackwardTiles<size>& tiles, int stage, int first, int strip,
                          int key, int64_t element, int max_keys, const Dropout& dropout,
                          float scale) {
  const int lane = lane_id();
  float p[2][4] = {};
  float dp[2][4] = {};
#pragma unroll
  for (int i = 0; i < size / 16; i++) {
    uint32_t a[4], b[4];
    load_a<size>(a, tiles.keys(), strip, 16 * i);
    load_b<size>(b, tiles.queries(stage), first, 16 * i);
    multiply_strip(p, a, b);
    load_a<size>(a, tiles.values(), strip, 16 * i);
    load_b<size>(b, tiles.douts(stage), first, 16 * i);
    multiply_strip(dp, a, b);
  }

  uint32_t kept = 0xffffffffu;
  if (dropout.rng)
    kept = kept_elements<16, 2>(element + int64_t{first + lane / 2} * max_keys, dropout);
#pragma unroll
  for (int j = 0; j < 2; j++)
#pragma unroll
    for (int e = 0; e < 2; e++) {
      const int query = 8 * j + lane % 4 * 2 + e;
      const float log_sum = tiles.log_sums(stage)[first + query];
      const float delta = tiles.deltas(stage)[first + query];
      const int seen = tiles.seen(stage)[first + query];
      const uint32_t bits = __shfl_sync(kAllLanes, kept, 2 * query) >> (lane / 4);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const bool keep = bits >> (8 * h) & 1;
        float& probability = p[j][2 * h + e];
        float& gradient = dp[j][2 * h + e];
        const float x = key + lane / 4 + 8 * h < seen
                            ? ptx::exp2(probability * (scale * kLog2e) - log_sum)
                            : 0.0f;
        gradient = x * ((keep ? gradient * dropout.rate.scale : 0.0f) - delta);
        probability = keep ? x : 0.0f;
      }
    }

  uint32_t a[4], b[4];
  to_operand(a, p);
#pragma unroll
  for (int i = 0; i < size / 16; i++) {
    load_b_transposed<size>(b, tiles.douts(stage), first, 16 * i);
    multiply_strip(dv + 2 * i, a, b);
  }
  to_operand(a, dp);
#pragma unroll
  for (int i = 0; i < size / 16; i++) {
    load_b_transposed<size>(b, tiles.queries(stage), first, 16 * i);
    multiply_strip(dk + 2 * i, a, b);
  }
  put_strip<kQueryTile>(tiles.dscores(stage), strip, first, dp, 1.0f, 1.0f);
}

// All warps: dq of a tile of queries, from the first `strips` strips of keys; [16 x 16] of it a
// warp and turn. `partial` holds sums over keys that have left shared memory.
template <int size>
DEVICE void query_gradients(const View<bf16>& dq, const View<float>& partial,
                            const BackwardTiles<size>& tiles, int stage, const Group& group,
                            int tile, int strips, bool begins, bool ends, float scale) {
  const int lane = lane_id();
  const int count = group.queries.count - tile * kQueryTile;
  const int64_t row = group.queries.first + tile * kQueryTile;
  for (int unit = uniform(warp_id()); unit < kQueryTile / 16 * (size / 16);
       unit += blockDim.x / 32) {
    const int m = unit % (kQueryTile / 16) * 16;
    const int n = unit / (kQueryTile / 16) * 16;
    float sum[2][4] = {};
    for (int i = 0; i < strips; i++) {
      uint32_t a[4], b[4];
      load_a_transposed<kQueryTile>(a, tiles.dscores(stage), i * kStrip, m);
      load_b_transposed<size>(b, tiles.keys(), i * kStrip, n);
      multiply_strip(sum, a, b);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int query = m + lane / 4 + 8 * h;
      if (query >= count) continue;
#pragma unroll
      for (int j = 0; j < 2; j++) {
        const int column = group.column + n + 8 * j + lane % 4 * 2;
        float2 total = make_float2(sum[j][2 * h], sum[j][2 * h + 1]);
        auto* others = reinterpret_cast<float2*>(partial.at(row + query, column));
        if (!begins) {
          total.x += others->x;
          total.y += others->y;
        }
        if (ends) {
          *reinterpret_cast<uint32_t*>(dq.at(row + query, column)) =
              pack_bf16(total.x * scale, total.y * scale);
        } else {
          *others = total;
        }
      }
    }
  }
}

// Bound by memory at 200 keys and fewer: five tensors in and three out, 16 * size bytes a token and
// head. partial: float32 like dq, needed when a group has more keys than fit.
template <int size>
__global__ void __launch_bounds__(kBackwardWarps<size> * 32)
    attention_backward_kernel(View<bf16> dq, View<bf16> dk, View<bf16> dv, BackwardInputs from,
                              View<float> partial, Packing packing, Dropout dropout, float scale) {
  const int warps = blockDim.x / 32;
  const int capacity = warps * kStrip;
  const int strip = uniform(warp_id()) * kStrip;
  const BackwardTiles<size> tiles{dynamic_shared<bf16>(), warps};
  const Group group(packing, blockIdx.x);
  clear_gaps(dq, group, size, group.queries);
  clear_gaps(dk, group, size, group.keys);
  clear_gaps(dv, group, size, group.keys);
  if (group.keys.count == 0)
    clear_rows(dq, group, size, group.queries.first, group.queries.first + group.queries.count);

  const int turns = ceil_div(group.queries.count, kQueryTile);
  for (int base = 0; base < group.keys.count; base += capacity) {
    const int held = min(group.keys.count - base, capacity);
    const int padded = ceil_div(held, kStrip) * kStrip;
    const int64_t first = group.keys.first + base;
    const bool ends = base + held == group.keys.count;
    float dkeys[size / 8][4] = {};
    float dvalues[size / 8][4] = {};
    __syncthreads();
    copy_rows<size>(tiles.keys(), from.k, first, group.column, padded, held, threadIdx.x,
                    blockDim.x);
    copy_rows<size>(tiles.values(), from.v, first, group.column, padded, held, threadIdx.x,
                    blockDim.x);
    if (turns > 0) copy_queries(tiles, from, group, 0, 0);
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
    if (turns > 0) finish_queries(tiles, from, packing, group, 0, 0);
    __syncthreads();
    for (int tile = 0; tile < turns; tile++) {
      const int stage = tile % 2;
      const bool more = tile + 1 < turns;
      const int limit =
          min(seen_keys_limit(packing, group, tile * kQueryTile, kQueryTile) - base, held);
      if (more) copy_queries(tiles, from, group, tile + 1, 1 - stage);
      ptx::cp_async_commit();
      if (strip < limit) {
        const int64_t element = dropout.element(packing, group, tile * kQueryTile, base + strip);
#pragma unroll 1
        for (int query = 0; query < kQueryTile; query += 16)
          key_gradients<size>(dkeys, dvalues, tiles, stage, query, strip, base + strip, element,
                              packing.max_keys, dropout, scale);
      }
      ptx::cp_async_wait<0>();
      if (more) finish_queries(tiles, from, packing, group, tile + 1, 1 - stage);
      // The next scores go to the other stage: one barrier a turn is enough.
      __syncthreads();
      query_gradients(dq, partial, tiles, stage, group, tile,
                      limit > 0 ? ceil_div(limit, kStrip) : 0, base == 0, ends, scale);
    }
    __syncthreads();
    if (strip < held) {
      put_strip<size>(tiles.keys(), strip, 0, dkeys, scale, scale);
      put_strip<size>(tiles.values(), strip, 0, dvalues, dropout.rate.scale, dropout.rate.scale);
      __syncwarp();
      const int count = min(held - strip, kStrip);
      store_rows<size>(dk, first + strip, group.column, tiles.keys(), strip, count);
      store_rows<size>(dv, first + strip, group.column, tiles.values(), strip, count);
    }
  }
}

}  // namespace cuda::attending
