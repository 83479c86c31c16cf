// Products for attention with every head size and dtype, in float32 arithmetic through tiles in
// shared memory: 32 queries, 32 keys and 64 columns of the result a block and turn. A block that
// makes other columns computes the scores once more, so that sums stay in registers at any size.
// The kernels are in tile_forward.cuh and tile_backward.cuh.
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

}  // namespace cuda::attending
