// Layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450) and RMS norm (Zhang and Sennrich 2019,
// arXiv:1910.07467) over the last axis. A warp takes a row, in registers where it fits. Bound by
// memory bandwidth.
#include "device/reduce.cuh"
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kWarps = 4;  // rows of a block at a time
constexpr int kThreads = 32 * kWarps;
constexpr int kSumWarps = 16;  // of a block that adds partial sums

// Of the gradient: four for each multiprocessor of an H100, and the same on every GPU, so that sums
// over rows are.
constexpr int64_t kMostBlocks = 528;

// Most elements of a row that a lane keeps in registers.
constexpr int kForwardKept = 64;
constexpr int kBackwardKept = 32;

// A lane's part of a row: groups of N neighbouring elements, 32 N apart. Up to `kept` of them stay
// in registers; with kept = 0 every pass reads them again.
template <class T, int N, int kept>
struct LaneRow {
  static constexpr int groups = kept / N;
  float values[groups > 0 ? groups : 1][N];
  const T* row;
  int columns;

  DEVICE LaneRow(const T* row, int columns) : row(row), columns(columns) {
#pragma unroll
    for (int i = 0; i < groups; i++) {
      const int column = (32 * i + lane_id()) * N;
      if (column < columns) load(values[i], row + column);
    }
  }
  // Calls body(group, first column, its N values).
  template <class Body>
  DEVICE void each(Body body) {
    if constexpr (kept > 0) {
#pragma unroll
      for (int i = 0; i < groups; i++) {
        const int column = (32 * i + lane_id()) * N;
        if (column < columns) body(i, column, values[i]);
      }
    } else {
      for (int column = lane_id() * N; column < columns; column += 32 * N) {
        load(values[0], row + column);
        body(0, column, values[0]);
      }
    }
  }
};

// mean and rstd may be null. Without a bias: RMS norm, whose center is zero.
template <class T, int N, int kept>
__global__ void __launch_bounds__(kThreads)
    normalize_kernel(T* out, float* mean, float* rstd, const T* x, const float* weight,
                     const float* bias, float epsilon, int64_t rows, int columns) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + warp_id();
  if (row >= rows) return;
  LaneRow<T, N, kept> values(x + row * columns, columns);
  const float share = 1.0f / static_cast<float>(columns);
  float center = 0.0f;
  if (bias) {
    float sum = 0.0f;
    values.each([&](int, int, float(&v)[N]) {
#pragma unroll
      for (int j = 0; j < N; j++) sum += v[j];
    });
    center = warp_sum(sum) * share;
  }
  float spread = 0.0f;
  values.each([&](int, int, float(&v)[N]) {
#pragma unroll
    for (int j = 0; j < N; j++) spread += (v[j] - center) * (v[j] - center);
  });
  const float scale = 1.0f / sqrtf(warp_sum(spread) * share + epsilon);
  values.each([&](int, int column, float(&v)[N]) {
    float w[N], b[N];
    load(w, weight + column);
    if (bias) load(b, bias + column);
#pragma unroll
    for (int j = 0; j < N; j++) v[j] = (v[j] - center) * scale * w[j] + (bias ? b[j] : 0.0f);
    store(out + row * columns + column, v);
  });
  if (lane_id() == 0) {
    if (mean) mean[row] = center;
    if (rstd) rstd[row] = scale;
  }
}

// With y = (x - mean) rstd and g = dout weight: dx = rstd (g - mean(g) - y mean(g y)); RMS norm,
// whose `mean` is null, lacks mean(g). Block i takes rows i * block_rows and on. With `sums`, the
// sums over its rows of dout y and of dout become row i of partial [blocks, 2, columns]. dx may be
// null then.
template <class T, int N, int kept, bool sums>
__global__ void __launch_bounds__(kThreads)
    normalize_backward_kernel(T* dx, float* partial, const T* dout, const T* x, const float* weight,
                              const float* mean, const float* rstd, int64_t rows, int block_rows,
                              int columns) {
  constexpr int summed = sums ? kept / N : 1;
  float weight_sums[summed][N] = {};
  float bias_sums[summed][N] = {};
  const float share = 1.0f / static_cast<float>(columns);
  const int64_t first = int64_t{blockIdx.x} * block_rows;
  const int64_t end = min(rows, first + block_rows);
  for (int64_t row = first + warp_id(); row < end; row += kWarps) {
    LaneRow<T, N, kept> values(x + row * columns, columns);
    LaneRow<T, N, kept> grads(dout + row * columns, columns);
    const float center = mean ? mean[row] : 0.0f;
    const float scale = rstd[row];
    // Calls body(column, x's normalised values, dout's values, weight) for each group.
    const auto each = [&](auto body) {
      values.each([&](int i, int column, float(&v)[N]) {
        float y[N], w[N], g[N];
        load(w, weight + column);
        if constexpr (kept > 0) {
#pragma unroll
          for (int j = 0; j < N; j++) g[j] = grads.values[i][j];
        } else {
          load(g, dout + row * columns + column);
        }
#pragma unroll
        for (int j = 0; j < N; j++) y[j] = (v[j] - center) * scale;
        body(i, column, y, g, w);
      });
    };
    float sum_g = 0.0f;
    float sum_gy = 0.0f;
    each([&](int i, int, float(&y)[N], float(&g)[N], float(&w)[N]) {
#pragma unroll
      for (int j = 0; j < N; j++) {
        sum_g += g[j] * w[j];
        sum_gy += g[j] * w[j] * y[j];
        if constexpr (sums) {
          weight_sums[i][j] += g[j] * y[j];
          bias_sums[i][j] += g[j];
        }
      }
    });
    if (!dx) continue;
    const float mean_g = mean ? warp_sum(sum_g) * share : 0.0f;
    const float mean_gy = warp_sum(sum_gy) * share;
    each([&](int, int column, float(&y)[N], float(&g)[N], float(&w)[N]) {
      float d[N];
#pragma unroll
      for (int j = 0; j < N; j++) d[j] = scale * (g[j] * w[j] - mean_g - y[j] * mean_gy);
      store(dx + row * columns + column, d);
    });
  }
  if constexpr (sums) {
    // The warps' sums, added in order: each warp in turn adds its own to shared memory.
    float* shared = dynamic_shared<float>();
    for (int warp = 0; warp < kWarps; warp++) {
      if (warp_id() == warp) {
#pragma unroll
        for (int i = 0; i < summed; i++) {
          const int column = (32 * i + lane_id()) * N;
          if (column >= columns) continue;
          float(&w)[N] = weight_sums[i];
          float(&b)[N] = bias_sums[i];
          if (warp > 0) {
            float before[N];
            load(before, shared + column);
#pragma unroll
            for (int j = 0; j < N; j++) w[j] += before[j];
            load(before, shared + columns + column);
#pragma unroll
            for (int j = 0; j < N; j++) b[j] += before[j];
          }
          const bool last = warp == kWarps - 1;
          float* to = last ? partial + int64_t{blockIdx.x} * 2 * columns : shared;
          store(to + column, w);
          store(to + columns + column, b);
        }
      }
      __syncthreads();
    }
  }
}

// The same sums for rows that do not fit into registers or whose addresses are odd: a thread a
// column, a block of threads for each `block_rows` rows.
template <class T>
__global__ void __launch_bounds__(kThreads)
    column_sums_kernel(float* partial, const T* dout, const T* x, const float* mean,
                       const float* rstd, int64_t rows, int block_rows, int columns) {
  const int column = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= columns) return;
  const int64_t first = int64_t{blockIdx.x} * block_rows;
  const int64_t end = min(rows, first + block_rows);
  float weight_sum = 0.0f;
  float bias_sum = 0.0f;
  for (int64_t row = first; row < end; row++) {
    const float g = to_float(dout[row * columns + column]);
    const float center = mean ? mean[row] : 0.0f;
    weight_sum += g * (to_float(x[row * columns + column]) - center) * rstd[row];
    bias_sum += g;
  }
  float* to = partial + int64_t{blockIdx.x} * 2 * columns + column;
  to[0] = weight_sum;
  to[columns] = bias_sum;
}

// dweight and dbias (either may be null) = the sums over the blocks of partial [blocks, 2,
// columns]. A warp adds every kSumWarps-th row of it for 32 columns, then the warps' sums are
// added.
__global__ void __launch_bounds__(kSumWarps * 32)
    finish_sums_kernel(float* dweight, float* dbias, const float* partial, int blocks,
                       int columns) {
  SHARED(float, sums, [kSumWarps][32]);
  const int column = static_cast<int>(blockIdx.x) * 32 + lane_id();
  float* out = blockIdx.y == 0 ? dweight : dbias;
  const float* from = partial + int64_t{blockIdx.y} * columns + column;
  float sum = 0.0f;
  if (column < columns && out) {
#pragma unroll 8
    for (int block = warp_id(); block < blocks; block += kSumWarps)
      sum += from[int64_t{block} * 2 * columns];
  }
  sums[warp_id()][lane_id()] = sum;
  __syncthreads();
  if (warp_id() == 0 && column < columns && out) {
    for (int warp = 1; warp < kSumWarps; warp++) sum += sums[warp][lane_id()];
    out[column] = sum;
  }
}

// Calls body(N, kept) with the elements of one access and those that a lane keeps, as
// integral_constants. A lane keeps none of rows of more than 32 `most` elements.
template <class T, int most, class Body>
void with_row_shape(bool together, int columns, Body body) {
  constexpr int N = kVector<T>;
  using Together = std::integral_constant<int, N>;
  const auto fits = [columns](int kept) { return columns <= 32 * kept; };
  if (!together || columns % N != 0)
    return body(std::integral_constant<int, 1>{}, std::integral_constant<int, 0>{});
  if (fits(16)) return body(Together{}, std::integral_constant<int, 16>{});
  if (fits(32)) return body(Together{}, std::integral_constant<int, 32>{});
  if constexpr (most > 32)
    if (fits(most)) return body(Together{}, std::integral_constant<int, most>{});
  body(Together{}, std::integral_constant<int, 0>{});
}

void normalize(Tensor out, Tensor mean, Tensor rstd, Tensor x, Tensor weight, Tensor bias,
               float epsilon, Stream& stream) {
  const int64_t rows = x.rows();
  const int columns = x.columns();
  const auto blocks = static_cast<unsigned>(ceil_div<int64_t>(rows, kWarps));
  with_float_type(x, [&]<class T>(T) {
    with_row_shape<T, kForwardKept>(aligned(out, x, weight, bias), columns, [&](auto n, auto kept) {
      launch(normalize_kernel<T, n(), kept()>, blocks, kThreads, 0, stream, data<T>(out),
             data<float>(mean), data<float>(rstd), data<T>(x), data<float>(weight),
             data<float>(bias), epsilon, rows, columns);
    });
  });
}

void normalize_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x,
                        Tensor weight, Tensor mean, Tensor rstd, Stream& stream) {
  const int64_t rows = x.rows();
  const int columns = x.columns();
  // Two rows a warp, or more.
  const int block_rows =
      static_cast<int>(std::max<int64_t>(2 * kWarps, ceil_div<int64_t>(rows, kMostBlocks)));
  const auto blocks = static_cast<unsigned>(ceil_div<int64_t>(rows, block_rows));
  const bool wanted = dweight || dbias;
  float* partial = nullptr;
  if (wanted)
    partial = static_cast<float*>(
        stream.scratch(sizeof(float) * 2 * static_cast<size_t>(columns) * blocks));
  with_float_type(x, [&]<class T>(T) {
    with_row_shape<T, kBackwardKept>(aligned(dx, dout, x, weight), columns, [&](auto n, auto kept) {
      constexpr bool fused = kept() > 0;
      if (fused && wanted) {
        launch(normalize_backward_kernel<T, n(), kept(), fused>, blocks, kThreads,
               sizeof(float) * 2 * static_cast<size_t>(columns), stream, data<T>(dx), partial,
               data<T>(dout), data<T>(x), data<float>(weight), data<float>(mean), data<float>(rstd),
               rows, block_rows, columns);
        return;
      }
      if (dx)
        launch(normalize_backward_kernel<T, n(), kept(), false>,
               static_cast<unsigned>(ceil_div<int64_t>(rows, kWarps)), kThreads, 0, stream,
               data<T>(dx), nullptr, data<T>(dout), data<T>(x), data<float>(weight),
               data<float>(mean), data<float>(rstd), rows, kWarps, columns);
      if (wanted)
        launch(column_sums_kernel<T>,
               dim3(blocks, static_cast<unsigned>(ceil_div(columns, kThreads))), kThreads, 0,
               stream, partial, data<T>(dout), data<T>(x), data<float>(mean), data<float>(rstd),
               rows, block_rows, columns);
    });
  });
  if (wanted)
    launch(finish_sums_kernel, dim3(static_cast<unsigned>(ceil_div(columns, 32)), dbias ? 2 : 1),
           kSumWarps * 32, 0, stream, data<float>(dweight), data<float>(dbias), partial,
           static_cast<int>(blocks), columns);
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void layer_norm(Tensor out, Tensor mean, Tensor rstd, Tensor x, Tensor weight, Tensor bias,
                float epsilon, Stream& stream) {
  normalize(out, mean, rstd, x, weight, bias, epsilon, stream);
}

void layer_norm_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x,
                         Tensor weight, Tensor mean, Tensor rstd, Stream& stream) {
  normalize_backward(dx, dweight, dbias, dout, x, weight, mean, rstd, stream);
}

void rms_norm(Tensor out, Tensor rstd, Tensor x, Tensor weight, float epsilon, Stream& stream) {
  normalize(out, {}, rstd, x, weight, {}, epsilon, stream);
}

void rms_norm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, Tensor rstd,
                       Stream& stream) {
  normalize_backward(dx, dweight, {}, dout, x, weight, {}, rstd, stream);
}

}  // namespace cuda
