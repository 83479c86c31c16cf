// A learned factor for each channel of a residual branch (LayerScale: Touvron et al. 2021,
// arXiv:2103.17239, section 3), and its gradient. Bound by memory: each element is read or written
// once.
#include "device/channel_rows.cuh"
#include "gemm/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kThreadRows = 8;
constexpr int64_t kMostBlocks = int64_t{1} << 20;
// Of the gradient: eight for each multiprocessor of an H100; a constant, so that sums have the same
// bits on every GPU.
constexpr int64_t kMostSums = 1056;
constexpr int kSumRows = 16;
constexpr int kSumWidth = 32;

// Bound by 2 x sizeof(T) bytes an element, 3 with a residual. residual may be null.
template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    layer_scale_kernel(T* out, const T* x, const float* scale, const T* residual,
                       ChannelRows sizes) {
  const ChannelThread at = channel_thread<V>(sizes);
  float factors[V] = {};
  if (at.active) load(factors, scale + at.channel);
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    const int64_t first = row * sizes.channels + at.channel;
    float values[V], others[V] = {};
    load(values, x + first);
    if (residual) load(others, residual + first);
#pragma unroll
    for (int i = 0; i < V; i++) values[i] = values[i] * factors[i] + others[i];
    store(out + first, values);
  }
}

// dx(?) = dout scale, and for each block of rows sums [row blocks, channels] of dout x. Bound by 3
// x sizeof(T) bytes an element.
template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    layer_scale_backward_kernel(T* dx, float* sums, const T* dout, const T* x, const float* scale,
                                ChannelRows sizes) {
  const ChannelThread at = channel_thread<V>(sizes);
  float factors[V] = {}, sum[V] = {};
  if (at.active) load(factors, scale + at.channel);
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    const int64_t first = row * sizes.channels + at.channel;
    float values[V], grads[V];
    load(values, x + first);
    load(grads, dout + first);
#pragma unroll
    for (int i = 0; i < V; i++) {
      sum[i] += grads[i] * values[i];
      grads[i] *= factors[i];
    }
    if (dx) store(dx + first, grads);
  }
  sum_rows<kThreads>(sum);
  if (threadIdx.y == 0 && at.active) store(sums + at.row_block * sizes.channels + at.channel, sum);
}

template <class T, class... Tensors>
bool together(Tensor x, Tensors... others) {
  return aligned(x, others...) && x.columns() % kVector<T> == 0;
}

void scale_rows(Tensor out, Tensor x, Tensor scale, Tensor residual, Stream& stream) {
  with_float_type(x, [&]<class T>(T) {
    with_channel_vector<T>(together<T>(x, out, scale, residual), [&](auto vector) {
      const ChannelRows sizes = channel_rows(x.rows(), x.columns(), vector(), kThreads, kThreadRows,
                                             kMostBlocks, kThreads);
      launch(layer_scale_kernel<T, vector()>, sizes.grid(), sizes.threads(), 0, stream,
             data<T>(out), data<T>(x), data<float>(scale), data<T>(residual), sizes);
    });
  });
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void layer_scale(Tensor out, Tensor x, Tensor scale, Tensor residual, Stream& stream) {
  scale_rows(out, x, scale, residual, stream);
}

void layer_scale_backward(Tensor dx, Tensor dscale, Tensor dout, Tensor x, Tensor scale,
                          Stream& stream) {
  if (!dscale) {
    if (dx) scale_rows(dx, dout, scale, {}, stream);
    return;
  }
  with_float_type(x, [&]<class T>(T) {
    with_channel_vector<T>(together<T>(x, dx, dout, scale, dscale), [&](auto vector) {
      const int columns = x.columns();
      const ChannelRows sizes =
          channel_rows(x.rows(), columns, vector(), kThreads, kSumRows, kMostSums, kSumWidth);
      auto* sums = static_cast<float*>(
          stream.scratch(sizeof(float) * static_cast<size_t>(sizes.row_blocks * columns)));
      launch(layer_scale_backward_kernel<T, vector()>, sizes.grid(), sizes.threads(), 0, stream,
             data<T>(dx), sums, data<T>(dout), data<T>(x), data<float>(scale), sizes);
      column_sums(data<float>(dscale), sums, Dtype::float32, sizes.row_blocks, columns, columns,
                  stream);
    });
  });
}

}  // namespace cuda
