// Linear layer with bias, activation and residual, and its gradients. Bound by the products
// (oneDNN's sgemm). Each thread multiplies its share of the rows and finishes it: no barrier
// between the two, and no sum over the inner axis that is split among threads.
#include <omp.h>

#include <algorithm>
#include <cstring>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "activation.h"
#include "gemm.h"
#include "rows.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// With fewer rows for each thread, oneDNN divides a product better by itself.
constexpr int64_t kLeastRows = 96;

// A sum over a long axis keeps float32 accuracy by adding up short pieces in double.
SIMD float dot(const float* a, const float* b, int64_t n) {
  constexpr int64_t kPiece = 2048;
  double total = 0;
  for (int64_t start = 0; start < n; start += kPiece) {
    const int64_t end = std::min(n, start + kPiece);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = start; i < end; i++) sum += a[i] * b[i];
    total += sum;
  }
  return static_cast<float>(total);
}

// From the products in `out` to the result. bias, pre and residual may be null.
template <int kind>
SIMD void finish_rows(float* out, float* pre, const float* bias, const float* residual,
                      int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; row++, out += n) {
    if (bias)
      for (int64_t i = 0; i < n; i++) out[i] += bias[i];
    if (pre) {
      std::memcpy(pre, out, static_cast<size_t>(n) * sizeof(float));
      pre += n;
    }
    if (kind != kNone)
      for (int64_t i = 0; i < n; i++) out[i] = activate<kind>(out[i]);
    if (residual) {
      for (int64_t i = 0; i < n; i++) out[i] += residual[i];
      residual += n;
    }
  }
}

// dpre = dout * activation'(pre); sums [n] += the rows of dpre when wanted.
template <int kind>
SIMD void before_activation(float* dpre, int64_t stride, float* sums, const float* dout,
                            const float* pre, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; row++, dpre += stride, dout += n, pre += n) {
    for (int64_t i = 0; i < n; i++) dpre[i] = dout[i] * activation_derivative<kind>(pre[i]);
    if (sums)
      for (int64_t i = 0; i < n; i++) sums[i] += dpre[i];
  }
}

float* row_of(Tensor t, int64_t row) { return t ? t.f32() + row * t.columns() : nullptr; }

}  // namespace

// ---------------------------------------------------------------------------------------------

void linear(Tensor out, Tensor pre, Tensor x, Tensor weight, Tensor bias, Tensor residual,
            int activation, Stream&) {
  const int64_t rows = out.rows();
  const int64_t n = out.columns();
  const int64_t c = x.columns();
  const auto finish = [&](int64_t row, int64_t count) {
    with_activation(activation, [&](auto kind) {
      finish_rows<decltype(kind)::value>(row_of(out, row), row_of(pre, row), row_of(bias, 0),
                                         row_of(residual, row), count, n);
    });
  };
  if (rows == 1 && n == 1) {
    out.f32()[0] = dot(x.f32(), weight.f32(), c);
    return finish(0, 1);
  }
  const auto multiply_rows = [&](int64_t row, int64_t count) {
    return gemm(Transpose::no, Transpose::yes, count, n, c, row_of(x, row), c, weight.f32(), c,
                0.0f, row_of(out, row), n);
  };
  const int threads = omp_get_max_threads();
  const int64_t share = (rows + threads - 1) / threads;
  if (share < kLeastRows) {
    check_gemm(multiply_rows(0, rows));
    const RowBlocks blocks(rows);
#pragma omp parallel for schedule(static) if (rows * n > 16384)
    for (int64_t block = 0; block < blocks.count; block++)
      finish(blocks.begin(block), blocks.length(block));
    return;
  }
  int status = 0;
#pragma omp parallel for schedule(static) reduction(max : status)
  for (int64_t row = 0; row < rows; row += share) {
    const int64_t count = std::min(share, rows - row);
    status = std::max(status, multiply_rows(row, count));
    finish(row, count);
  }
  check_gemm(status);
}

void linear_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x, Tensor weight,
                     Tensor pre, int activation, Stream& stream) {
  const int64_t rows = dout.rows();
  const int64_t n = dout.columns();
  const int64_t c = x.columns();
  const RowBlocks blocks(rows);
  const bool active = activation != kNone;
  // Rows a power of two apart share few places in the cache: the product of dweight takes 1.5 times
  // as long.
  const int64_t stride = active && n % 256 == 0 ? n + 16 : n;

  auto* sums = static_cast<float*>(stream.scratch(
      static_cast<size_t>((dbias ? blocks.count * n : 0) + (active ? rows * stride : 0)) *
      sizeof(float)));
  float* dpre = active ? sums + (dbias ? blocks.count * n : 0) : dout.f32();
  if (active || dbias) {
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks.count; block++) {
      const int64_t row = blocks.begin(block);
      const int64_t count = blocks.length(block);
      float* sum = dbias ? sums + block * n : nullptr;
      if (sum) std::fill_n(sum, n, 0.0f);
      if (!active) {
        add_rows(sum, dout.f32() + row * n, count, n, n);
        continue;
      }
      with_activation(activation, [&](auto kind) {
        before_activation<decltype(kind)::value>(
            dpre + row * stride, stride, sum, dout.f32() + row * n, pre.f32() + row * n, count, n);
      });
    }
  }
  if (dbias) {
    std::fill_n(dbias.f32(), n, 0.0f);
    add_rows(dbias.f32(), sums, blocks.count, n, n);
  }
  if (dx)
    check_gemm(gemm(Transpose::no, Transpose::no, rows, c, n, dpre, stride, weight.f32(), c, 0.0f,
                    dx.f32(), c));
  if (dweight)
    check_gemm(gemm(Transpose::yes, Transpose::no, n, c, rows, dpre, stride, x.f32(), c, 0.0f,
                    dweight.f32(), c));
}

}  // namespace cpu
