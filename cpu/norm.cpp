// Layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450) and RMS norm (Zhang and Sennrich 2019,
// arXiv:1910.07467) over the last axis. Bound by memory bandwidth: each row is read once and stays
// in the innermost cache.
#include <algorithm>
#include <cmath>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "rows.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Statistics of one row: the mean first, then the mean of squared distances from it.
SIMD_INLINE float mean_of(const float* x, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += x[i];
  return sum / static_cast<float>(n);
}

SIMD_INLINE float spread_of(const float* x, float center, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += (x[i] - center) * (x[i] - center);
  return sum / static_cast<float>(n);
}

// mean and rstd may be null. Without a bias: RMS norm, whose center is zero.
SIMD void normalize_rows(float* out, float* mean, float* rstd, const float* x, const float* weight,
                         const float* bias, float epsilon, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; row++, out += n, x += n) {
    const float center = bias ? mean_of(x, n) : 0.0f;
    const float scale = 1.0f / std::sqrt(spread_of(x, center, n) + epsilon);
    if (bias) {
      for (int64_t i = 0; i < n; i++) out[i] = (x[i] - center) * scale * weight[i] + bias[i];
    } else {
      for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale * weight[i];
    }
    if (mean) mean[row] = center;
    if (rstd) rstd[row] = scale;
  }
}

// With y = (x - mean) rstd and g = dout weight: dx = rstd (g - mean(g) - y mean(g y)); RMS norm
// lacks mean(g). dweight [n] += dout y, dbias [n] += dout. mean is null for RMS norm; dx, dweight,
// dbias may be null.
SIMD void normalize_rows_backward(float* dx, float* dweight, float* dbias, const float* dout,
                                  const float* x, const float* weight, const float* mean,
                                  const float* rstd, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; row++, dout += n, x += n) {
    const float center = mean ? mean[row] : 0.0f;
    const float scale = rstd[row];
    if (dweight)
      for (int64_t i = 0; i < n; i++) dweight[i] += dout[i] * ((x[i] - center) * scale);
    if (dbias)
      for (int64_t i = 0; i < n; i++) dbias[i] += dout[i];
    if (!dx) continue;
    float sum_g = 0;
    float sum_gy = 0;
#pragma omp simd reduction(+ : sum_g, sum_gy)
    for (int64_t i = 0; i < n; i++) {
      const float g = dout[i] * weight[i];
      sum_g += g;
      sum_gy += g * ((x[i] - center) * scale);
    }
    const float mean_g = mean ? sum_g / static_cast<float>(n) : 0.0f;
    const float mean_gy = sum_gy / static_cast<float>(n);
    for (int64_t i = 0; i < n; i++)
      dx[i] = scale * (dout[i] * weight[i] - mean_g - (x[i] - center) * scale * mean_gy);
    dx += n;
  }
}

void normalize(Tensor out, Tensor mean, Tensor rstd, Tensor x, Tensor weight, Tensor bias,
               float epsilon) {
  const RowBlocks blocks(x.rows());
  const int64_t n = x.columns();
#pragma omp parallel for schedule(static) if (x.size() > 16384)
  for (int64_t block = 0; block < blocks.count; block++) {
    const int64_t row = blocks.begin(block);
    normalize_rows(out.f32() + row * n, mean ? mean.f32() + row : nullptr,
                   rstd ? rstd.f32() + row : nullptr, x.f32() + row * n, weight.f32(), bias.f32(),
                   epsilon, blocks.length(block), n);
  }
}

void normalize_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x,
                        Tensor weight, Tensor mean, Tensor rstd, Stream& stream) {
  const RowBlocks blocks(x.rows());
  const int64_t n = x.columns();
  const int64_t sums = blocks.count * n;
  auto* weight_sums =
      static_cast<float*>(stream.scratch(static_cast<size_t>(2 * sums) * sizeof(float)));
  float* bias_sums = weight_sums + sums;
#pragma omp parallel for schedule(static) if (x.size() > 16384)
  for (int64_t block = 0; block < blocks.count; block++) {
    const int64_t row = blocks.begin(block);
    float* weight_sum = dweight ? weight_sums + block * n : nullptr;
    float* bias_sum = dbias ? bias_sums + block * n : nullptr;
    if (weight_sum) std::fill_n(weight_sum, n, 0.0f);
    if (bias_sum) std::fill_n(bias_sum, n, 0.0f);
    normalize_rows_backward(dx ? dx.f32() + row * n : nullptr, weight_sum, bias_sum,
                            dout.f32() + row * n, x.f32() + row * n, weight.f32(),
                            mean ? mean.f32() + row : nullptr, rstd.f32() + row,
                            blocks.length(block), n);
  }
  if (dweight) {
    std::fill_n(dweight.f32(), n, 0.0f);
    add_rows(dweight.f32(), weight_sums, blocks.count, n, n);
  }
  if (dbias) {
    std::fill_n(dbias.f32(), n, 0.0f);
    add_rows(dbias.f32(), bias_sums, blocks.count, n, n);
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void layer_norm(Tensor out, Tensor mean, Tensor rstd, Tensor x, Tensor weight, Tensor bias,
                float epsilon, Stream&) {
  normalize(out, mean, rstd, x, weight, bias, epsilon);
}

void layer_norm_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x,
                         Tensor weight, Tensor mean, Tensor rstd, Stream& stream) {
  normalize_backward(dx, dweight, dbias, dout, x, weight, mean, rstd, stream);
}

void rms_norm(Tensor out, Tensor rstd, Tensor x, Tensor weight, float epsilon, Stream&) {
  normalize(out, {}, rstd, x, weight, {}, epsilon);
}

void rms_norm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, Tensor rstd,
                       Stream& stream) {
  normalize_backward(dx, dweight, {}, dout, x, weight, {}, rstd, stream);
}

}  // namespace cpu
