// The gradient of attention for every head size and dtype: one kernel for dq, one for dk and dv.
// Each recomputes what it needs, so that nothing is kept between them and no sums are shared. Bound
// by arithmetic.
#pragma once
#include "tiles.cuh"

namespace cuda::attending {

template <class T>
struct TileInputs {
  View<const T> dout, out;
  const float* log_sum_exp;
  View<const T> q, k, v;
};

// deltas [32] = sums of dout out over the head. Without a barrier: multiply_rows has two before
// deltas are read, add_products one after that.
template <class T>
DEVICE void fill_deltas(float (&deltas)[kTile], const TileInputs<T>& from, int64_t first,
                        int queries, const Group& group, int size) {
  constexpr int kSharing = kTileThreads / kTile;
  const int row = threadIdx.x / kSharing;
  float sum = 0.0f;
  if (row < queries)
    for (int i = threadIdx.x % kSharing; i < size; i += kSharing)
      sum += to_float(*from.dout.at(first + row, group.column + i)) *
             to_float(*from.out.at(first + row, group.column + i));
  sum = warp_sum<kSharing>(sum);
  if (threadIdx.x % kSharing == 0) deltas[row] = sum;
}

// The thread's probabilities, dropped and scaled, and gradients of scores, for 32 queries of the
// group from `query` on and 32 keys from `key` on. Called by all threads.
template <class T>
DEVICE void score_gradients(float (&dropped)[2][4], float (&gradients)[2][4],
                            const TileInputs<T>& from, const Packing& packing, const Group& group,
                            const Dropout& dropout, const float (&deltas)[kTile], int query,
                            int key, float scale) {
  const int64_t row = group.queries.first + query;
  const int64_t key_row = group.keys.first + key;
  const int queries = min(group.queries.count - query, kTile);
  const int keys = min(group.keys.count - key, kTile);
  const int column = group.column;
  multiply_rows<T>(dropped, {from.q, row, column, queries}, {from.k, key_row, column, keys},
                   packing.size);
  multiply_rows<T>(gradients, {from.dout, row, column, queries}, {from.v, key_row, column, keys},
                   packing.size);
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int at = ScoreThread::query(i);
    const int seen = seen_keys(packing, group, query + at);
    const float log_sum =
        at < queries ? from.log_sum_exp[int64_t{group.head} * packing.queries + row + at] : 0.0f;
    uint32_t kept = 0xffffffffu;
    if (dropout.rng)
      kept = kept_elements<kTile, ScoreThread::sharing>(
          dropout.element(packing, group, query + at, key), dropout);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int other = ScoreThread::key(j);
      const float p = key + other < seen ? expf(dropped[i][j] * scale - log_sum) : 0.0f;
      const float factor = kept >> other & 1 ? dropout.rate.scale : 0.0f;
      dropped[i][j] = p * factor;
      gradients[i][j] = p * (gradients[i][j] * factor - deltas[at]);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kTileThreads, 3)
    attention_query_gradient_kernel(View<T> dq, TileInputs<T> from, Packing packing,
                                    Dropout dropout, float scale) {
  SHARED(float, weights, [kTile][kPitch]);  // [keys, queries]
  SHARED(float, deltas, [kTile]);
  const Group group(packing, blockIdx.x);
  const int size = packing.size;
  const int column = blockIdx.z * kColumns;
  if (blockIdx.y == 0 && blockIdx.z == 0) clear_gaps(dq, group, size, group.queries);

  for (int query = blockIdx.y * kTile; query < group.queries.count; query += gridDim.y * kTile) {
    const int queries = min(group.queries.count - query, kTile);
    const int64_t row = group.queries.first + query;
    const int limit = seen_keys_limit(packing, group, query, kTile);
    float sums[4][4] = {};
    fill_deltas(deltas, from, row, queries, group, size);
    for (int key = 0; key < limit; key += kTile) {
      const int keys = min(limit - key, kTile);
      float p[2][4], ds[2][4];
      score_gradients(p, ds, from, packing, group, dropout, deltas, query, key, scale);
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) weights[ScoreThread::key(j)][ScoreThread::query(i)] = ds[i][j];
      add_products<T>(sums, weights, {from.k, group.keys.first + key, group.column, keys}, column,
                      size);
    }
    store_sums(dq, sums, row, queries, group, column, size, scale);
  }
}

template <class T>
__global__ void __launch_bounds__(kTileThreads, 3)
    attention_key_gradient_kernel(View<T> dk, View<T> dv, TileInputs<T> from, Packing packing,
                                  Dropout dropout, float scale) {
  SHARED(float, dropped, [kTile][kPitch]);  // [queries, keys]
  SHARED(float, gradients, [kTile][kPitch]);
  SHARED(float, deltas, [kTile]);
  const Group group(packing, blockIdx.x);
  const int size = packing.size;
  const int column = blockIdx.z * kColumns;
  if (blockIdx.y == 0 && blockIdx.z == 0) {
    clear_gaps(dk, group, size, group.keys);
    clear_gaps(dv, group, size, group.keys);
  }

  for (int key = blockIdx.y * kTile; key < group.keys.count; key += gridDim.y * kTile) {
    float dkeys[4][4] = {};
    float dvalues[4][4] = {};
    for (int query = 0; query < group.queries.count; query += kTile) {
      if (seen_keys_limit(packing, group, query, kTile) <= key) continue;
      const int queries = min(group.queries.count - query, kTile);
      const int64_t row = group.queries.first + query;
      fill_deltas(deltas, from, row, queries, group, size);
      float p[2][4], ds[2][4];
      score_gradients(p, ds, from, packing, group, dropout, deltas, query, key, scale);
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
          dropped[ScoreThread::query(i)][ScoreThread::key(j)] = p[i][j];
          gradients[ScoreThread::query(i)][ScoreThread::key(j)] = ds[i][j];
        }
      add_products<T>(dvalues, dropped, {from.dout, row, group.column, queries}, column, size);
      add_products<T>(dkeys, gradients, {from.q, row, group.column, queries}, column, size);
    }
    const int keys = min(group.keys.count - key, kTile);
    const int64_t row = group.keys.first + key;
    store_sums(dk, dkeys, row, keys, group, column, size, scale);
    store_sums(dv, dvalues, row, keys, group, column, size, 1.0f);
  }
}

}  // namespace cuda::attending
