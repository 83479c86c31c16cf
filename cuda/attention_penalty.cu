// Doubly stochastic attention: over a caption every cell of the image should get a share of 1 in
// all. Bound by memory: alpha once, and once more written as its gradient.
#include "device/reduce.cuh"
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 128;

// A block a caption: sums [R, S]; squares [R] of what they miss 1 by, counted [R] tokens.
template <class T>
__global__ void __launch_bounds__(kThreads)
    penalty_sums_kernel(float* sums, float* squares, float* counted, const T* alpha,
                        const int* offsets, const int* targets, int ignore_index, int cells) {
  const int row = static_cast<int>(blockIdx.x);
  const int begin = offsets[row];
  const int end = offsets[row + 1];
  float count = 0.0f;
  for (int n = begin + static_cast<int>(threadIdx.x); n < end; n += kThreads)
    count += targets[n] != ignore_index ? 1.0f : 0.0f;
  count = block_sum<kThreads>(count);
  float square = 0.0f;
  for (int s = static_cast<int>(threadIdx.x); s < cells; s += kThreads) {
    float sum = 0.0f;
#pragma unroll 4
    for (int n = begin; n < end; n++)
      if (targets[n] != ignore_index) sum += to_float(alpha[int64_t{n} * cells + s]);
    sums[int64_t{row} * cells + s] = sum;
    square = fmaf(1.0f - sum, 1.0f - sum, square);
  }
  square = block_sum<kThreads>(square);
  if (threadIdx.x == 0) {
    squares[row] = count > 0.0f ? square : 0.0f;
    counted[row] = count;
  }
}

// One block: everything of the captions together.
__global__ void __launch_bounds__(kThreads)
    penalty_kernel(float* out, float* factor, const float* squares, const float* counted,
                   const float* denominator, float scale, int rows, int cells) {
  float total = 0.0f, tokens = 0.0f, captions = 0.0f;
  for (int row = static_cast<int>(threadIdx.x); row < rows; row += kThreads) {
    total += squares[row];
    tokens += counted[row];
    captions += counted[row] > 0.0f ? 1.0f : 0.0f;
  }
  total = block_sum<kThreads>(total);
  tokens = block_sum<kThreads>(tokens);
  captions = block_sum<kThreads>(captions);
  if (threadIdx.x == 0) {
    const float weight =
        captions > 0.0f ? scale * (tokens / denominator[0]) / (captions * static_cast<float>(cells))
                        : 0.0f;
    factor[0] = weight;
    out[0] = weight * total;
  }
}

// A block a caption.
template <class T>
__global__ void __launch_bounds__(kThreads)
    penalty_gradient_kernel(T* dalpha, const float* dout, const float* sums, const float* factor,
                            const int* offsets, const int* targets, int ignore_index, int cells) {
  const int row = static_cast<int>(blockIdx.x);
  const float weight = 2.0f * factor[0] * dout[0];
  for (int n = offsets[row]; n < offsets[row + 1]; n++) {
    const bool counts = targets[n] != ignore_index;
    for (int s = static_cast<int>(threadIdx.x); s < cells; s += kThreads)
      dalpha[int64_t{n} * cells + s] =
          from_float<T>(counts ? weight * (sums[int64_t{row} * cells + s] - 1.0f) : 0.0f);
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void attention_penalty(Tensor out, Tensor sums, Tensor factor, Tensor alpha, Tensor offsets,
                       Tensor targets, Tensor denominator, int ignore_index, float scale,
                       Stream& stream) {
  const int rows = sums.shape[0];
  const int cells = sums.shape[1];
  auto* squares =
      static_cast<float*>(stream.scratch(2 * sizeof(float) * static_cast<size_t>(rows)));
  float* counted = squares + rows;
  with_float_type(alpha, [&]<class T>(T) {
    launch(penalty_sums_kernel<T>, static_cast<unsigned>(rows), kThreads, 0, stream, sums.f32(),
           squares, counted, data<T>(alpha), data<int>(offsets), data<int>(targets), ignore_index,
           cells);
  });
  launch(penalty_kernel, 1, kThreads, 0, stream, out.f32(), factor.f32(), squares, counted,
         denominator.f32(), scale, rows, cells);
}

void attention_penalty_backward(Tensor dalpha, Tensor dout, Tensor sums, Tensor factor,
                                Tensor offsets, Tensor targets, int ignore_index, Stream& stream) {
  with_float_type(dalpha, [&]<class T>(T) {
    launch(penalty_gradient_kernel<T>, static_cast<unsigned>(sums.shape[0]), kThreads, 0, stream,
           data<T>(dalpha), dout.f32(), sums.f32(), factor.f32(), data<int>(offsets),
           data<int>(targets), ignore_index, sums.shape[1]);
  });
}

}  // namespace cuda
