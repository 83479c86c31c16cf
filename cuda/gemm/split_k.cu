// The ordered sum of a split product's partials, with the epilogue. Bound by memory: every partial
// is read once.
#include "../runtime/launch.h"
#include "split_k.h"

namespace cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kColumns = 32;  // of a block; its rows are those of a statistics tile
constexpr int kQuads = kColumns / 4;
constexpr int kRowStep = kThreads / kQuads;
constexpr int kPitch = kColumns + 4;
// Threads that share a column when statistics are taken.
constexpr int kShare = kThreads / kColumns;

DEVICE void add_partials(float (&sum)[4], const Finish& f, const float* partials, int splits,
                         int row, int column) {
  if (row >= f.m || column >= f.n) return;
  const int64_t size = int64_t{f.m} * f.n;
  const float* p = partials + int64_t{row} * f.n + column;
  const bool vectors = f.n % 4 == 0;
#pragma unroll 4
  for (int split = 0; split < splits; split++, p += size) {
    float x[4];
    load_some(x, p, vectors, f.n - column);
#pragma unroll
    for (int i = 0; i < 4; i++) sum[i] += x[i];
  }
}

__global__ void __launch_bounds__(kThreads)
    reduce_splits_kernel(Finish f, const float* partials, int splits, int columns) {
  const int row = blockIdx.x / columns * kStatisticRows + threadIdx.x / kQuads;
  const int first_row = blockIdx.x / columns * kStatisticRows;
  const int first_column = blockIdx.x % columns * kColumns;
  const int column = first_column + threadIdx.x % kQuads * 4;
  SHARED(float, tile, [kStatisticRows * kPitch]);
#pragma unroll 1
  for (int i = 0; i < kStatisticRows; i += kRowStep) {
    float sum[4] = {};
    add_partials(sum, f, partials, splits, row + i, column);
    if (f.with.statistics)
      store(tile + (row - first_row + i) * kPitch + column - first_column, sum);
    finish(f, row + i, column, sum);
  }
  if (!f.with.statistics) return;
  __syncthreads();
  const int c = threadIdx.x / kShare;
  const int rows = min(kStatisticRows, f.m - first_row);
  float sum = 0.0f;
  for (int r = threadIdx.x % kShare; r < rows; r += kShare) sum += tile[r * kPitch + c];
  const float mean = warp_sum<kShare>(sum) / static_cast<float>(rows);
  float m2 = 0.0f;
  for (int r = threadIdx.x % kShare; r < rows; r += kShare) {
    const float deviation = tile[r * kPitch + c] - mean;
    m2 += deviation * deviation;
  }
  m2 = warp_sum<kShare>(m2);
  if (threadIdx.x % kShare == 0 && first_column + c < f.n)
    store<2>(f.with.statistics + (int64_t{first_row / kStatisticRows} * f.n + first_column + c) * 2,
             {mean, m2});
}

}  // namespace

void reduce_splits(const Finish& f, const float* partials, int splits, Stream& stream) {
  const int columns = ceil_div(f.n, kColumns);
  const int64_t blocks = int64_t{columns} * ceil_div(f.m, kStatisticRows);
  launch(reduce_splits_kernel, dim3(static_cast<unsigned>(blocks)), kThreads, 0, stream, f,
         partials, splits, columns);
}

}  // namespace cuda
