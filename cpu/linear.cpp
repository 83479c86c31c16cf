// Linear layer with bias, activation and residual, and its gradients. Bound by the products
// (split_product.h, else oneDNN's sgemm; thin_product.h for few rows).
#include <algorithm>
#include <cstring>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "activation.h"
#include "divided_product.h"
#include "gemm.h"
#include "rows.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

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

// From the products in `out` to the result: `rows` rows of n elements, `stride` apart in all but
// bias. bias, pre and residual may be null.
template <int kind>
SIMD void finish_rows(float* out, float* pre, const float* bias, const float* residual,
                      int64_t rows, int64_t n, int64_t stride) {
  for (int64_t row = 0; row < rows; row++, out += stride) {
    if (bias)
      for (int64_t i = 0; i < n; i++) out[i] += bias[i];
    if (pre) {
      std::memcpy(pre, out, static_cast<size_t>(n) * sizeof(float));
      pre += stride;
    }
    if (kind != kNone)
      for (int64_t i = 0; i < n; i++) out[i] = activate<kind>(out[i]);
    if (residual) {
      for (int64_t i = 0; i < n; i++) out[i] += residual[i];
      residual += stride;
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

// Null for an absent tensor.
float* place(Tensor t, int64_t row, int64_t column) {
  return t ? t.f32() + row * t.columns() + column : nullptr;
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void linear(Tensor out, Tensor pre, Tensor x, Tensor weight, Tensor bias, Tensor residual,
            int activation, Stream&) {
  const int64_t rows = out.rows();
  const int64_t n = out.columns();
  const int64_t c = x.columns();
  const auto finish = [&](const Part& part) {
    const auto at = [&](Tensor t) { return place(t, part.row, part.column); };
    with_activation(activation, [&](auto kind) {
      finish_rows<decltype(kind)::value>(at(out), at(pre), place(bias, 0, part.column),
                                         at(residual), part.rows, part.columns, n);
    });
  };
  if (rows == 1 && n == 1) {
    out.f32()[0] = dot(x.f32(), weight.f32(), c);
    return finish({0, 1, 0, 1});
  }
  multiply_divided({out.f32(), n, x.f32(), c, weight.f32(), c, rows, n, c}, finish);
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
