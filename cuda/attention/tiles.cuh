// Attention and its gradient for every head size and dtype, in float32 arithmetic through tiles in
// shared memory: 32 queries, 32 keys and 64 columns of the result a block and turn. A block that
// makes other columns computes the scores once more, so that sums stay in registers at any size.
// Bound by arithmetic.
#pragma once
#include "rows.cuh"

namespace cuda::attending {

constexpr int kTileThreads = 128;
constexpr int kTile = 32;
constexpr int kColumns = 64;
constexpr int kPitch = kTile + 4;  // keeps 16-byte alignment, spreads rows over banks

// A thread's part of [32 queries, 32 keys]: queries query(i), keys key(j).
struct ScoreThread {
  static constexpr int queries = 2, keys = 4, sharing = kTile / keys;
  DEVICE static int query(int i) { return static_cast<int>(threadIdx.x) / sharing + 16 * i; }
  DEVICE static int key(int j) { return static_cast<int>(threadIdx.x) % sharing + sharing * j; }
};

// A thread's part of [32 rows, 64 columns]: four rows, four columns.
struct SumThread {
  DEVICE static int row() { return static_cast<int>(threadIdx.x) / 16 * 4; }
  DEVICE static int column() { return static_cast<int>(threadIdx.x) % 16 * 4; }
};

// Rows of a matrix: `count` of them from `first` on, all columns of one head from `column` on.
template <class T>
struct Rows {
  View<const T> x;
  int64_t first;
  int column, count;
};

// product = a b^T over the head's columns, for each of 32 rows of a and of b. Begins with a
// barrier.
template <class T>
DEVICE void multiply_rows(float (&product)[2][4], const Rows<T>& a, const Rows<T>& b, int size) {
  SHARED(float, a_tile, [kTile][kPitch]);
  SHARED(float, b_tile, [kTile][kPitch]);
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) product[i][j] = 0.0f;
  for (int depth = 0; depth < size; depth += kTile) {
    __syncthreads();
    const int c = depth + threadIdx.x % kTile;
    for (int row = threadIdx.x / kTile; row < kTile; row += kTileThreads / kTile) {
      a_tile[row][c - depth] =
          row < a.count && c < size ? to_float(*a.x.at(a.first + row, a.column + c)) : 0.0f;
      b_tile[row][c - depth] =
          row < b.count && c < size ? to_float(*b.x.at(b.first + row, b.column + c)) : 0.0f;
    }
    __syncthreads();
    const int end = min(size - depth, kTile);
#pragma unroll 2
    for (int d = 0; d < end; d += 4) {
      float x[2][4], y[4][4];
#pragma unroll
      for (int i = 0; i < 2; i++) load(x[i], &a_tile[ScoreThread::query(i)][d]);
#pragma unroll
      for (int j = 0; j < 4; j++) load(y[j], &b_tile[ScoreThread::key(j)][d]);
#pragma unroll
      for (int e = 0; e < 4; e++)
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) product[i][j] = fmaf(x[i][e], y[j][e], product[i][j]);
    }
  }
}

// sums += weights^T x for the columns from `column` of the head on, weights [rows of x, 32].
// Begins with a barrier, after which weights that others wrote may be read.
template <class T>
DEVICE void add_products(float (&sums)[4][4], const float (&weights)[kTile][kPitch],
                         const Rows<T>& x, int column, int size) {
  SHARED(float, tile, [kTile][kColumns + 4]);
  __syncthreads();
  for (int i = threadIdx.x; i < x.count * kColumns; i += kTileThreads) {
    const int row = i / kColumns;
    const int c = column + i % kColumns;
    tile[row][i % kColumns] = c < size ? to_float(*x.x.at(x.first + row, x.column + c)) : 0.0f;
  }
  __syncthreads();
#pragma unroll 4
  for (int row = 0; row < x.count; row++) {
    float w[4], y[4];
    load(w, &weights[row][SumThread::row()]);
    load(y, &tile[row][SumThread::column()]);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) sums[i][j] = fmaf(w[i], y[j], sums[i][j]);
  }
}

// The sums into the head's columns from `column` on, rows first .. first + count.
template <class T>
DEVICE void store_sums(const View<T>& out, const float (&sums)[4][4], int64_t first, int count,
                       const Group& group, int column, int size, float factor) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int row = SumThread::row() + i;
      const int c = column + SumThread::column() + j;
      if (row < count && c < size)
        *out.at(first + row, group.column + c) = from_float<T>(sums[i][j] * factor);
    }
}

// --- Forward. Grid: heads and groups, tiles of queries, columns.

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
    __syncthreads();
  }
}

// --- Backward: one kernel for dq, one for dk and dv; each recomputes what it needs.

template <class T>
struct TileInputs {
  View<const T> dout, out;
  const float* log_sum_exp;
  View<const T> q, k, v;
};

// deltas [32] = sums of dout out over the head. Ends with a barrier.
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
  __syncthreads();
  if (threadIdx.x % kSharing == 0) deltas[row] = sum;
  __syncthreads();
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
