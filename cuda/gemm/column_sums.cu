// Sums over the rows of a matrix: first over pieces of the rows, then over the pieces, in order.
// Bound by memory: x is read once.
#include "../device/channel_rows.cuh"
#include "../runtime/launch.h"
#include "gemm.h"

namespace cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 32;  // threads side by side
// Eight for each multiprocessor of an H100; a constant, so that sums have the same bits on every
// GPU.
constexpr int64_t kMostBlocks = 1056;
constexpr int kThreadRows = 16;

// sums [row blocks, columns].
template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    column_sums_kernel(float* sums, const T* x, int64_t row_stride, ChannelRows sizes) {
  const ChannelThread at = channel_thread<V>(sizes);
  float sum[V] = {};
#pragma unroll 4
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    float values[V];
    load(values, x + row * row_stride + at.channel);
#pragma unroll
    for (int i = 0; i < V; i++) sum[i] += values[i];
  }
  sum_rows<kThreads>(sum);
  if (threadIdx.y == 0 && at.active) store(sums + at.row_block * sizes.channels + at.channel, sum);
}

template <class T>
void add_rows(float* sums, const T* x, int64_t rows, int columns, int64_t row_stride,
              Stream& stream) {
  const bool wide = columns % kVector<T> == 0 && row_stride % kVector<T> == 0 &&
                    reinterpret_cast<uintptr_t>(x) % 16 == 0 &&
                    reinterpret_cast<uintptr_t>(sums) % 16 == 0;
  with_channel_vector<T>(wide, [&](auto vector) {
    const ChannelRows sizes =
        channel_rows(rows, columns, vector(), kThreads, kThreadRows, kMostBlocks, kWidth);
    const auto pieces = static_cast<size_t>(std::max<int64_t>(sizes.row_blocks, 1));
    float* to = sums;
    if (pieces > 1)
      to = static_cast<float*>(
          stream.scratch(pieces * static_cast<size_t>(columns) * sizeof(float)));
    launch(column_sums_kernel<vector(), T>, sizes.grid(), sizes.threads(), 0, stream, to, x,
           row_stride, sizes);
    if (pieces > 1)
      add_rows(sums, static_cast<const float*>(to), sizes.row_blocks, columns, int64_t{columns},
               stream);
  });
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void column_sums(float* sums, const void* x, Dtype dtype, int64_t rows, int columns,
                 int64_t row_stride, Stream& stream) {
  if (columns == 0) return;
  if (rows == 0) {
    check(cudaMemsetAsync(sums, 0, static_cast<size_t>(columns) * sizeof(float),
                          gpu(stream).handle()),
          "column sums");
  } else if (dtype == Dtype::float32) {
    add_rows(sums, static_cast<const float*>(x), rows, columns, row_stride, stream);
  } else {
    add_rows(sums, static_cast<const bf16*>(x), rows, columns, row_stride, stream);
  }
}

}  // namespace cuda
