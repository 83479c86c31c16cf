// The matrix-product core as op files see it: linear layers, convolutions and the classifier are
// all D[M, N] = A[M, K] B[K, N] with bf16 (or float32) operands and float32 sums, followed by an
// epilogue. Which pipeline runs (sm80.cuh, sm90.cuh, float32.cuh) and with which tile is plan.h's.
#pragma once
#include <cstdint>

#include "../../binding/device.h"
#include "../../binding/tensor.h"

namespace cuda {

// A matrix in memory. K-major: rows of M (or N) with K contiguous, `stride` elements from row to
// row; else rows of K with M (or N) contiguous. Any alignment and stride; multiples of 16 bytes are
// fast.
struct Operand {
  const void* data;
  int64_t stride;
  bool k_major;
};

// What becomes of the sums, in this order: + bias, + residual (if first), pre stored, activation, +
// residual (if not first), stored. Tensors are row-major [M, N] like the output.
struct Epilogue {
  const float* bias = nullptr;     // [N]
  const void* residual = nullptr;  // dtype of the output, contiguous
  bool residual_first = false;
  void* pre = nullptr;  // dtype of the output, contiguous
  int activation = 0;
  bool accumulate = false;  // out += instead of out =; float32 outputs only
  // Per tile of rows and per column: mean and sum of squared deviations of the float32 sums before
  // everything else, [row tiles, N, 2]; row tiles of kStatisticRows rows, the last one shorter.
  float* statistics = nullptr;
};
// Rows of a statistics tile, whatever the tile of the product.
constexpr int kStatisticRows = 64;

// out [M, N] row-major, `out_stride` elements from row to row. out_dtype: of `out`, `pre` and
// `residual`; operand_dtype: of both operands. float32 operands give float32 outputs.
void gemm(void* out, Dtype out_dtype, int64_t out_stride, int m, int n, int k, Dtype operand_dtype,
          const Operand& a, const Operand& b, const Epilogue& epilogue, Stream& stream);

// Sizes of a convolution with groups = 1. x [batch, height, width, x_channels], of which the first
// `channels` count; weight [filters, taps_h, taps_w, channels]; out [batch, out_height, out_width,
// filters].
struct ConvolutionShape {
  int batch, height, width, x_channels, channels;
  int out_height, out_width, filters;
  int taps_h, taps_w, stride, pad_top, pad_left;
};

// out = x * weight: M = output pixels, N = filters, K = taps x channels.
void convolution_product(void* out, Dtype dtype, const void* x, const void* weight,
                         const ConvolutionShape& shape, const Epilogue& epilogue, Stream& stream);
// dx = dout * flipped weight: M = input pixels; strides above 1 as one product per parity of the
// input pixel. Surplus channels of dx become 0.
void convolution_input_gradient(void* dx, Dtype dtype, const void* dout, const void* weight,
                                const ConvolutionShape& shape, Stream& stream);
// dweight (float32) = dout^T x im2col(x): M = filters, N = taps x channels, K = output pixels.
void convolution_weight_gradient(float* dweight, Dtype dtype, const void* dout, const void* x,
                                 const ConvolutionShape& shape, Stream& stream);

// sums [columns] (float32) = sums over the rows of x [rows, columns], in a fixed order.
void column_sums(float* sums, const void* x, Dtype dtype, int64_t rows, int columns,
                 int64_t row_stride, Stream& stream);

}  // namespace cuda
