// Channels scaled by the sigmoid of a gate for each image and channel: the end of a
// squeeze-and-excitation block (Hu et al. 2017, arXiv:1709.01507), and its gradient. Bound by
// memory bandwidth: maps are read and written once.
#include "device/channel_rows.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kRows = 8;     // pixels of a thread
constexpr int kBlocks = 64;  // of an image at most, so that few parts are left to sum
constexpr int kWidth = 32;   // threads side by side

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// One image in y; blocks in x share its [pixels, channels] map.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    channel_gate_kernel(T* out, const T* x, const T* gate, ChannelRows s) {
  const ChannelThread at = channel_thread<N>(s);
  if (!at.active) return;
  const int64_t image = int64_t{blockIdx.y} * s.rows * s.channels;
  float factor[N];
  load(factor, gate + int64_t{blockIdx.y} * s.channels + at.channel);
#pragma unroll
  for (int j = 0; j < N; j++) factor[j] = sigmoid(factor[j]);
#pragma unroll 4
  for (int64_t row = at.row; row < at.end; row += s.height) {
    const int64_t place = image + row * s.channels + at.channel;
    float value[N];
    load(value, x + place);
#pragma unroll
    for (int j = 0; j < N; j++) value[j] *= factor[j];
    store(out + place, value);
  }
}

// dx (may be null), and the sums of dout x: of a map that one block takes, dgate; otherwise parts
// [row blocks, B, C], for sum_parts_kernel. dgate is null when nobody wants it.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    channel_gate_backward_kernel(T* dx, T* dgate, float* parts, const T* dout, const T* x,
                                 const T* gate, ChannelRows s) {
  const ChannelThread at = channel_thread<N>(s);
  const int64_t image = int64_t{blockIdx.y} * s.rows * s.channels;
  const int64_t channel = int64_t{blockIdx.y} * s.channels + at.channel;
  float factor[N] = {}, sum[N] = {};
  if (at.active) {
    load(factor, gate + channel);
#pragma unroll
    for (int j = 0; j < N; j++) factor[j] = sigmoid(factor[j]);
#pragma unroll 4
    for (int64_t row = at.row; row < at.end; row += s.height) {
      const int64_t place = image + row * s.channels + at.channel;
      float grad[N];
      load(grad, dout + place);
      if (dgate) {
        float value[N];
        load(value, x + place);
#pragma unroll
        for (int j = 0; j < N; j++) sum[j] = fmaf(grad[j], value[j], sum[j]);
      }
      if (dx) {
#pragma unroll
        for (int j = 0; j < N; j++) grad[j] *= factor[j];
        store(dx + place, grad);
      }
    }
  }
  if (!dgate) return;
  sum_rows<kThreads>(sum);
  if (threadIdx.y != 0 || !at.active) return;
  if (parts) {
    store(parts + at.row_block * gridDim.y * s.channels + channel, sum);
  } else {
#pragma unroll
    for (int j = 0; j < N; j++) sum[j] *= factor[j] * (1.0f - factor[j]);
    store(dgate + channel, sum);
  }
}

// dgate [size] of `count` parts.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_parts_kernel(T* dgate, const float* parts, const T* gate, int64_t size, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= size) return;
  float sum = 0.0f;
#pragma unroll 4
  for (int64_t part = 0; part < count; part++) sum += parts[part * size + i];
  const float factor = sigmoid(to_float(gate[i]));
  dgate[i] = from_float<T>(sum * factor * (1.0f - factor));
}

// Calls body(T{}, N, how blocks share a map, grid).
template <class Body, class... Tensors>
void with_rows(Body body, Tensor x, Tensors... others) {
  with_float_type(x, [&]<class T>(T) {
    const int channels = x.shape[3];
    with_channel_vector<T>(aligned(x, others...) && channels % kVector<T> == 0, [&](auto n) {
      const ChannelRows s = channel_rows(int64_t{x.shape[1]} * x.shape[2], channels, n(), kThreads,
                                         kRows, kBlocks, kWidth);
      dim3 grid = s.grid();
      grid.y = static_cast<unsigned>(x.shape[0]);
      body(T{}, n, s, grid);
    });
  });
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void channel_gate(Tensor out, Tensor x, Tensor gate, Stream& stream) {
  with_rows(
      [&]<class T>(T, auto n, const ChannelRows& s, dim3 grid) {
        launch(channel_gate_kernel<T, n()>, grid, s.threads(), 0, stream, data<T>(out), data<T>(x),
               data<T>(gate), s);
      },
      x, out, gate);
}

void channel_gate_backward(Tensor dx, Tensor dgate, Tensor dout, Tensor x, Tensor gate,
                           Stream& stream) {
  with_rows(
      [&]<class T>(T, auto n, const ChannelRows& s, dim3 grid) {
        const bool parted = dgate && s.row_blocks > 1;
        const int64_t size = gate.size();
        auto* parts = parted ? static_cast<float*>(gpu(stream).scratch(
                                   static_cast<size_t>(s.row_blocks * size) * sizeof(float)))
                             : nullptr;
        launch(channel_gate_backward_kernel<T, n()>, grid, s.threads(), 0, stream, data<T>(dx),
               data<T>(dgate), parts, data<T>(dout), data<T>(x), data<T>(gate), s);
        if (parted)
          launch(sum_parts_kernel<T>,
                 dim3(static_cast<unsigned>(ceil_div<int64_t>(size, kThreads))), kThreads, 0,
                 stream, data<T>(dgate), parts, data<T>(gate), size, s.row_blocks);
      },
      x, dx, dgate, dout, gate);
}

}  // namespace cuda
