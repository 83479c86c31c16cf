// A learned factor for each channel of a residual branch (LayerScale: Touvron et al. 2021,
// arXiv:2103.17239, section 3). Bound by memory.
#include <algorithm>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "rows.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// residual may be null.
SIMD void scale_rows(float* out, const float* x, const float* scale, const float* residual,
                     int64_t rows, int n) {
  for (int64_t row = 0; row < rows; row++, out += n, x += n) {
    if (residual) {
      for (int i = 0; i < n; i++) out[i] = x[i] * scale[i] + residual[i];
      residual += n;
    } else {
      for (int i = 0; i < n; i++) out[i] = x[i] * scale[i];
    }
  }
}

SIMD void add_products(float* sums, const float* dout, const float* x, int64_t rows, int n) {
  for (int64_t row = 0; row < rows; row++, dout += n, x += n)
    for (int i = 0; i < n; i++) sums[i] += dout[i] * x[i];
}

void scale(Tensor out, Tensor x, Tensor scale, Tensor residual) {
  const RowBlocks blocks(x.rows());
  const int n = x.columns();
#pragma omp parallel for schedule(static) if (x.size() > 32768)
  for (int64_t block = 0; block < blocks.count; block++) {
    const int64_t first = blocks.begin(block) * n;
    scale_rows(out.f32() + first, x.f32() + first, scale.f32(),
               residual ? residual.f32() + first : nullptr, blocks.length(block), n);
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void layer_scale(Tensor out, Tensor x, Tensor factors, Tensor residual, Stream&) {
  scale(out, x, factors, residual);
}

void layer_scale_backward(Tensor dx, Tensor dscale, Tensor dout, Tensor x, Tensor factors,
                          Stream& stream) {
  if (dx) scale(dx, dout, factors, {});
  if (!dscale) return;
  const RowBlocks blocks(x.rows());
  const int n = x.columns();
  auto* sums =
      static_cast<float*>(stream.scratch(sizeof(float) * static_cast<size_t>(blocks.count * n)));
#pragma omp parallel for schedule(static) if (x.size() > 32768)
  for (int64_t block = 0; block < blocks.count; block++) {
    const int64_t first = blocks.begin(block) * n;
    std::fill_n(sums + block * n, n, 0.0f);
    add_products(sums + block * n, dout.f32() + first, x.f32() + first, blocks.length(block), n);
  }
  std::fill_n(dscale.f32(), n, 0.0f);
  add_rows(dscale.f32(), sums, blocks.count, n, n);
}

}  // namespace cpu
