// SwiGLU (Shazeer 2020, arXiv:2002.05202): one half of the columns, through silu, gates the other.
// Bound by memory: each element is read or written once.
#include "device/activation.cuh"
#include "device/channel_rows.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kThreadRows = 4;
constexpr int64_t kMostBlocks = int64_t{1} << 20;

// Bound by 3 x sizeof(T) bytes an element of out.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) swiglu_kernel(T* out, const T* x, ChannelRows sizes) {
  const ChannelThread at = channel_thread<V>(sizes);
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    const T* from = x + 2 * row * sizes.channels + at.channel;
    float gate[V], value[V];
    load(gate, from);
    load(value, from + sizes.channels);
#pragma unroll
    for (int i = 0; i < V; i++) value[i] *= activate<kSilu>(gate[i]);
    store(out + row * sizes.channels + at.channel, value);
  }
}

// Bound by 5 x sizeof(T) bytes an element of dout.
template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(T* dx, const T* dout, const T* x, ChannelRows sizes) {
  const ChannelThread at = channel_thread<V>(sizes);
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    const int64_t first = 2 * row * sizes.channels + at.channel;
    float gate[V], value[V], grad[V];
    load(gate, x + first);
    load(value, x + first + sizes.channels);
    load(grad, dout + row * sizes.channels + at.channel);
#pragma unroll
    for (int i = 0; i < V; i++) {
      value[i] *= grad[i] * activation_derivative<kSilu>(gate[i]);
      grad[i] *= activate<kSilu>(gate[i]);
    }
    store(dx + first, value);
    store(dx + first + sizes.channels, grad);
  }
}

// Calls body(vector, sizes): channels of a thread as a constant, and who has which of [rows,
// channels].
template <class T, class Body>
void with_rows(bool together, Tensor narrow, Body body) {
  with_channel_vector<T>(together && narrow.columns() % kVector<T> == 0, [&](auto vector) {
    body(vector, channel_rows(narrow.rows(), narrow.columns(), vector(), kThreads, kThreadRows,
                              kMostBlocks, kThreads));
  });
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void swiglu(Tensor out, Tensor x, Stream& stream) {
  with_float_type(x, [&]<class T>(T) {
    with_rows<T>(aligned(out, x), out, [&](auto vector, const ChannelRows& sizes) {
      launch(swiglu_kernel<T, vector()>, sizes.grid(), sizes.threads(), 0, stream, data<T>(out),
             data<T>(x), sizes);
    });
  });
}

void swiglu_backward(Tensor dx, Tensor dout, Tensor x, Stream& stream) {
  with_float_type(x, [&]<class T>(T) {
    with_rows<T>(aligned(dx, dout, x), dout, [&](auto vector, const ChannelRows& sizes) {
      launch(swiglu_backward_kernel<T, vector()>, sizes.grid(), sizes.threads(), 0, stream,
             data<T>(dx), data<T>(dout), data<T>(x), sizes);
    });
  });
}

}  // namespace cuda
