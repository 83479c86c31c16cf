// The tokens of a vision transformer: a learned first one, then those of the patches, with
// positions (Dosovitskiy et al. 2020, arXiv:2010.11929, equation 1), and their gradients. Bound by
// memory bandwidth: x is read and out written once, positions come from the cache.
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 128;

// One image in y; threads in x take N elements of its [S, C] tokens each.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    image_tokens_kernel(T* out, const T* x, const T* first, const T* positions, int64_t size,
                        int C) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  if (at >= size) return;
  const int64_t image = blockIdx.y;
  float value[N], position[N];
  load(value, at < C ? first + at : x + image * (size - C) + at - C);
  load(position, positions + at);
#pragma unroll
  for (int j = 0; j < N; j++) value[j] += position[j];
  store(out + image * size + at, value);
}

// A thread takes its N elements of every image, so that it sums them in order. Bound by memory
// bandwidth: dout is read and dx written once. dx, dfirst, dpositions may be null.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    image_tokens_backward_kernel(T* dx, float* dfirst, float* dpositions, const T* dout, int images,
                                 int64_t size, int C) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  if (at >= size) return;
  const bool is_first = at < C;
  float sum[N] = {};
#pragma unroll 4
  for (int b = 0; b < images; b++) {
    const auto grad = load_raw<N>(dout + b * size + at);
    if (dx && !is_first) store(dx + b * (size - C) + at - C, grad);
    float value[N];
    unpack(value, grad);
#pragma unroll
    for (int j = 0; j < N; j++) sum[j] += value[j];
  }
  if (dpositions) store(dpositions + at, sum);
  if (dfirst && is_first) store(dfirst + at, sum);
}

// Calls body(T{}, N) with the element type and the elements of one access, an integral_constant.
template <class Body, class... Tensors>
void with_access(Body body, Tensor x, Tensors... others) {
  with_float_type(x, [&]<class T>(T) {
    if (aligned(x, others...) && x.columns() % kVector<T> == 0) {
      body(T{}, std::integral_constant<int, kVector<T>>{});
    } else {
      body(T{}, std::integral_constant<int, 1>{});
    }
  });
}

unsigned blocks_for(int64_t size, int N) {
  return static_cast<unsigned>(ceil_div<int64_t>(size, int64_t{N} * kThreads));
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void image_tokens(Tensor out, Tensor x, Tensor first, Tensor positions, Stream& stream) {
  const int B = out.shape[0], C = out.shape[2];
  const int64_t size = int64_t{out.shape[1]} * C;
  with_access(
      [&]<class T>(T, auto n) {
        const dim3 grid(blocks_for(size, n()), static_cast<unsigned>(B));
        launch(image_tokens_kernel<T, n()>, grid, kThreads, 0, stream, data<T>(out), data<T>(x),
               data<T>(first), data<T>(positions), size, C);
      },
      out, x, first, positions);
}

void image_tokens_backward(Tensor dx, Tensor dfirst, Tensor dpositions, Tensor dout,
                           Stream& stream) {
  const int B = dout.shape[0], C = dout.shape[2];
  const int64_t size = int64_t{dout.shape[1]} * C;
  with_access(
      [&]<class T>(T, auto n) {
        launch(image_tokens_backward_kernel<T, n()>, blocks_for(size, n()), kThreads, 0, stream,
               data<T>(dx), data<float>(dfirst), data<float>(dpositions), data<T>(dout), B, size,
               C);
      },
      dout, dx, dfirst, dpositions);
}

}  // namespace cuda
