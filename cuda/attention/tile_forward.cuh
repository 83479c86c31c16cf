// Attention for every head size and dtype: softmax over tiles of 32 keys (Dao et al. 2022,
// arXiv:2205.14135). Bound by arithmetic.
#pragma once
#include "tiles.cuh"

namespace cuda::attending {

// Grid: heads and groups, tiles of queries, columns.
template <class T>
__global__ void __launch_bounds__(kTileThreads, 3)
    attention_tile_kernel(View<T> out, float* log_sum_exp, View<const T> q, View<const T> k,
                          View<const T> v, Packing packing, Dropout dropout, float scale) {
  SHARED(float, weights, [kTile][kPitch]);  // [keys, queries]
  SHARED(float, factors, [kTile]);          // of the sums so far; in the end, of the result
  const Group group(packing, blockIdx.x);
  const int size = packing.size;
  const int column = blockIdx.z * kColumns;
  if (blockIdx.y == 0 && blockIdx.z == 0) clear_gaps(out, group, size, group.queries);

  for (int query = blockIdx.y * kTile; query < group.queries.count; query += gridDim.y * kTile) {
    const int queries = min(group.queries.count - query, kTile);
    const int64_t row = group.queries.first + query;
    const int limit = seen_keys_limit(packing, group, query, kTile);
    float largest[2] = {-INFINITY, -INFINITY};
    float total[2] = {};
    float sums[4][4] = {};
    int seen[2];
#pragma unroll
    for (int i = 0; i < 2; i++) seen[i] = seen_keys(packing, group, query + ScoreThread::query(i));
    for (int key = 0; key < limit; key += kTile) {
      const int keys = min(limit - key, kTile);
      const int64_t key_row = group.keys.first + key;
      float s[2][4];
      multiply_rows<T>(s, {q, row, group.column, queries}, {k, key_row, group.column, keys}, size);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float top = largest[i];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          s[i][j] = key + ScoreThread::key(j) < seen[i] ? s[i][j] * scale : -INFINITY;
          top = fmaxf(top, s[i][j]);
        }
        top = warp_max<ScoreThread::sharing>(top);
        const float reference = top == -INFINITY ? 0.0f : top;
        const float factor = expf(largest[i] - reference);
        float sum = 0.0f;
        uint32_t kept = 0xffffffffu;
        if (dropout.rng)
          kept = kept_elements<kTile, ScoreThread::sharing>(
              dropout.element(packing, group, query + ScoreThread::query(i), key), dropout);
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const float x = expf(s[i][j] - reference);
          sum += x;
          weights[ScoreThread::key(j)][ScoreThread::query(i)] =
              kept >> ScoreThread::key(j) & 1 ? x : 0.0f;
        }
        total[i] = total[i] * factor + warp_sum<ScoreThread::sharing>(sum);
        largest[i] = top;
        if (ScoreThread::key(0) == 0) factors[ScoreThread::query(i)] = factor;
      }
      __syncthreads();
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] *= factors[SumThread::row() + i];
      add_products<T>(sums, weights, {v, key_row, group.column, keys}, column, size);
    }
    __syncthreads();
    if (ScoreThread::key(0) == 0)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int at = ScoreThread::query(i);
        factors[at] = total[i] > 0.0f ? __fdividef(dropout.rate.scale, total[i]) : 0.0f;
        if (log_sum_exp && blockIdx.z == 0 && at < queries)
          log_sum_exp[int64_t{group.head} * packing.queries + row + at] =
              total[i] > 0.0f ? largest[i] + logf(total[i]) : 0.0f;
      }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) sums[i][j] *= factors[SumThread::row() + i];
    store_sums(out, sums, row, queries, group, column, size, 1.0f);
  }
}

}  // namespace cuda::attending
