// The end of a matrix product, the same for every pipeline: from float32 sums to the output, in
// pieces of four neighbouring columns. Warps turn their fragments into rows through a strip of
// shared memory, so that global memory sees whole sectors. What it can do is chosen at run time:
// it waits for memory, and fewer kernels are compiled.
#pragma once
#include "../device/activation.cuh"
#include "../device/reduce.cuh"
#include "../device/vector.cuh"
#include "gemm.h"

namespace cuda {

// Epilogue with the output, ready for the device.
struct Finish {
  void* out;
  int64_t stride;  // of out, elements
  int m, n;
  Epilogue with;
  bool float32;      // dtype of out, pre and residual; else bf16
  bool vectors;      // four columns may move as one access
  int64_t by_split;  // elements from the output of one split to the next's

  // Rows that are pixels of every `step`-th row and column of an image [height, width], from
  // (first_h, first_w) on: the input gradient of a strided convolution. 0: rows as they come.
  int step = 0;
  int rows_h, rows_w, first_h, first_w, height, width;

  DEVICE int64_t row_offset(int row) const {
    if (step == 0) return row * stride;
    const int w = row % rows_w;
    const int h = row / rows_w % rows_h;
    const int64_t image = row / rows_w / rows_h;
    return ((image * height + h * step + first_h) * width + w * step + first_w) * stride;
  }
};

inline Finish make_finish(void* out, Dtype dtype, int64_t stride, int m, int n,
                          const Epilogue& epilogue) {
  Finish f{};
  f.out = out;
  f.stride = stride;
  f.m = m;
  f.n = n;
  f.with = epilogue;
  f.float32 = dtype == Dtype::float32;
  const auto on = [](const void* p, size_t bytes) {
    return reinterpret_cast<uintptr_t>(p) % bytes == 0;
  };
  const size_t bytes = f.float32 ? 16 : 8;
  f.vectors = n % 4 == 0 && stride % 4 == 0 && on(out, bytes) && on(epilogue.residual, bytes) &&
              on(epilogue.pre, bytes) && on(epilogue.bias, 16);
  return f;
}

// Up to four elements; the others become 0.
template <class T>
DEVICE void load_some(float (&x)[4], const T* p, bool vectors, int count) {
  if (vectors) return load(x, p);
#pragma unroll
  for (int i = 0; i < 4; i++) x[i] = i < count ? to_float(p[i]) : 0.0f;
}
template <class T>
DEVICE void store_some(T* p, const float (&x)[4], bool vectors, int count) {
  if (vectors) return store(p, x);
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < count) p[i] = from_float<T>(x[i]);
}

template <class T>
DEVICE void finish_as(const Finish& f, int row, int column, float (&x)[4]) {
  const int count = f.n - column;
  const int64_t dense = int64_t{row} * f.n + column;
  float other[4];
  if (f.with.bias) {
    load_some(other, f.with.bias + column, f.vectors, count);
#pragma unroll
    for (int i = 0; i < 4; i++) x[i] += other[i];
  }
  const T* residual = static_cast<const T*>(f.with.residual);
  if (residual) load_some(other, residual + dense, f.vectors, count);
  if (residual && f.with.residual_first) {
#pragma unroll
    for (int i = 0; i < 4; i++) x[i] += other[i];
  }
  if (f.with.pre) store_some(static_cast<T*>(f.with.pre) + dense, x, f.vectors, count);
  if (f.with.activation != kNone) {
#pragma unroll
    for (int i = 0; i < 4; i++) x[i] = activate(f.with.activation, x[i]);
  }
  if (residual && !f.with.residual_first) {
#pragma unroll
    for (int i = 0; i < 4; i++) x[i] += other[i];
  }
  T* out = static_cast<T*>(f.out) + f.row_offset(row) + column;
  if (f.with.accumulate) {
    load_some(other, out, f.vectors, count);
#pragma unroll
    for (int i = 0; i < 4; i++) x[i] += other[i];
  }
  store_some(out, x, f.vectors, count);
}

// Sums of out[row, column .. column + 3], column a multiple of 4; those outside are left out. x is
// used up.
DEVICE void finish(const Finish& f, int row, int column, float (&x)[4]) {
  if (row >= f.m || column >= f.n) return;
  if (f.float32) {
    finish_as<float>(f, row, column, x);
  } else {
    finish_as<bf16>(f, row, column, x);
  }
}

// --- fragments: as mma.sync m16n8 and wgmma leave them. A warp's sums[j] are 16 rows by the
// columns 8 j ..: with g = lane / 4, t = lane % 4, at (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t
// + 1).

// Floats from row to row of a strip, 8 beyond the columns: neither its writes nor its reads have
// bank conflicts.
template <int kColumns8>
constexpr int kStripPitch = 8 * kColumns8 + 8;
template <int kColumns8>
constexpr int kStripFloats = 16 * kStripPitch<kColumns8>;

template <int kColumns8>
DEVICE void write_strip(float* strip, const float (&sums)[kColumns8][4]) {
  constexpr int pitch = kStripPitch<kColumns8>;
  float* const at = strip + lane_id() / 4 * pitch + lane_id() % 4 * 2;
#pragma unroll
  for (int j = 0; j < kColumns8; j++) {
    store<2>(at + 8 * j, {sums[j][0], sums[j][1]});
    store<2>(at + 8 * pitch + 8 * j, {sums[j][2], sums[j][3]});
  }
}

// Finishes the 16 rows of a strip, whose corner is out[row, column]. One warp, after a __syncwarp.
template <int kColumns8>
DEVICE void finish_strip(const Finish& f, const float* strip, int row, int column) {
  constexpr int quads = 2 * kColumns8;  // in a row
#pragma unroll 1
  for (int i = lane_id(); i < 16 * quads; i += 32) {
    float x[4];
    load(x, strip + i / quads * kStripPitch<kColumns8> + i % quads * 4);
    finish(f, row + i / quads, column + i % quads * 4, x);
  }
}

// All of a warp's fragments: rows row + 16 i. strip: of this warp alone, kStripFloats<kColumns8>.
template <int kRows16, int kColumns8>
DEVICE void finish_fragments(const Finish& f, float* strip,
                             const float (&sums)[kRows16][kColumns8][4], int row, int column) {
  // A loop that is not unrolled, though registers have no index: the code of one strip only.
#pragma unroll 1
  for (int i = 0; i < kRows16; i++) {
#pragma unroll
    for (int j = 0; j < kRows16; j++)
      if (i == j) write_strip(strip, sums[j]);
    __syncwarp();
    finish_strip<kColumns8>(f, strip, row + 16 * i, column);
    __syncwarp();
  }
}

// --- statistics: mean and sum of squared deviations of the columns. First each warp over its own
// rows, then those of a tile of kStatisticRows rows in order.

// moments[c] = those of column c (of the warp's) over the rows below m; `row`: the first.
template <int kRows16, int kColumns8>
DEVICE void column_moments(float2* moments, const float (&sums)[kRows16][kColumns8][4], int row,
                           int m) {
  const int count = max(0, min(16 * kRows16, m - row));
  const float share = count > 0 ? 1.0f / static_cast<float>(count) : 0.0f;
  const int g = lane_id() / 4;
#pragma unroll
  for (int j = 0; j < kColumns8; j++) {
#pragma unroll
    for (int side = 0; side < 2; side++) {
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kRows16; i++) {
        if (16 * i + g < count) sum += sums[i][j][side];
        if (16 * i + g + 8 < count) sum += sums[i][j][side + 2];
      }
#pragma unroll
      for (int lanes = 4; lanes < 32; lanes *= 2) sum += __shfl_xor_sync(kAllLanes, sum, lanes);
      const float mean = sum * share;
      float m2 = 0.0f;
#pragma unroll
      for (int i = 0; i < kRows16; i++) {
        const float above = sums[i][j][side] - mean;
        const float below = sums[i][j][side + 2] - mean;
        if (16 * i + g < count) m2 += above * above;
        if (16 * i + g + 8 < count) m2 += below * below;
      }
#pragma unroll
      for (int lanes = 4; lanes < 32; lanes *= 2) m2 += __shfl_xor_sync(kAllLanes, m2, lanes);
      if (g == 0) moments[8 * j + lane_id() % 4 * 2 + side] = make_float2(mean, m2);
    }
  }
}

// Merges moments[part][column], parts of kPartRows rows from `row` on (a multiple of
// kStatisticRows), in the order of the parts, for kRows x kColumns sums whose corner is (row,
// column). By the threads 0 .. kThreads - 1, after a barrier.
template <int kRows, int kColumns, int kPartRows, int kThreads>
DEVICE void store_statistics(const Finish& f, const float2* moments, int row, int column,
                             int thread) {
  static_assert(kRows % kStatisticRows == 0 && kStatisticRows % kPartRows == 0);
  constexpr int parts = kStatisticRows / kPartRows;
  for (int i = thread; i < kRows / kStatisticRows * kColumns; i += kThreads) {
    const int tile = i / kColumns;
    const int c = i % kColumns;
    const int first = row + tile * kStatisticRows;
    if (first >= f.m || column + c >= f.n) continue;
    Moments all{0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int part = 0; part < parts; part++) {
      const int rows = max(0, min(kPartRows, f.m - first - part * kPartRows));
      const float2 some = moments[(tile * parts + part) * kColumns + c];
      all = merge(all, {static_cast<float>(rows), some.x, some.y});
    }
    float* const to = f.with.statistics + (int64_t{first / kStatisticRows} * f.n + column + c) * 2;
    store<2>(to, {all.mean, all.m2});
  }
}

}  // namespace cuda
