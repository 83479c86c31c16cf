// Convolution, then batch normalisation with the statistics of the batch, residual and activation;
// and folding of the running statistics into weights (Ioffe and Szegedy 2015, arXiv:1502.03167).
// The convolutions are convolution.cpp's. Bound by memory: forward reads y twice and writes out;
// backward reads dout and y twice and writes dy over y.
#include <algorithm>
#include <cmath>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "activation.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Rows of one sum: fixed by the sizes alone, so that results do not depend on the number of
// threads. 64 KB: a second look at them finds them in the cache.
int64_t rows_of_chunk(int C) { return std::max<int64_t>(16, 16384 / C); }

// Calls body(chunk, first row, rows) for all rows of `t`, in parallel.
template <class Body>
void each_chunk(const Tensor& t, Body body) {
  const int64_t rows = t.rows();
  const int64_t step = rows_of_chunk(t.columns());
#pragma omp parallel for schedule(static) if (rows > step)
  for (int64_t row = 0; row < rows; row += step) body(row / step, row, std::min(step, rows - row));
}

int64_t chunks_of(const Tensor& t) {
  const int64_t step = rows_of_chunk(t.columns());
  return (t.rows() + step - 1) / step;
}

// sum_k[c] += term_k(row, c) over rows, four at a time: a running sum in memory is slow to wait
// for.
template <class Term>
SIMD_INLINE void add_rows(float* sum, int64_t rows, int C, Term term) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4)
    for (int c = 0; c < C; c++)
      sum[c] += (term(r, c) + term(r + 1, c)) + (term(r + 2, c) + term(r + 3, c));
  for (; r < rows; r++)
    for (int c = 0; c < C; c++) sum[c] += term(r, c);
}

// Mean and sum of squared deviations of each channel over some rows.
SIMD void chunk_moments(float* __restrict mean, float* __restrict m2, const float* __restrict y,
                        int64_t rows, int C) {
  std::fill_n(mean, C, 0.0f);
  std::fill_n(m2, C, 0.0f);
  add_rows(mean, rows, C, [=](int64_t r, int c) { return y[r * C + c]; });
  for (int c = 0; c < C; c++) mean[c] /= static_cast<float>(rows);
  add_rows(m2, rows, C, [=](int64_t r, int c) {
    const float d = y[r * C + c] - mean[c];
    return d * d;
  });
}

// Joins the chunks' moments (Chan et al. 1983): never the difference of two large sums.
void join_moments(double* mean, double* m2, const float* partial, const Tensor& y) {
  const int C = y.columns();
  const int64_t rows = y.rows(), step = rows_of_chunk(C), chunks = chunks_of(y);
  const auto size = [&](int64_t chunk) {
    return static_cast<double>(std::min(step, rows - chunk * step));
  };
  std::fill_n(mean, C, 0.0);
  std::fill_n(m2, C, 0.0);
  for (int64_t i = 0; i < chunks; i++)
    for (int c = 0; c < C; c++)
      mean[c] += size(i) / static_cast<double>(rows) * partial[i * 2 * C + c];
  for (int64_t i = 0; i < chunks; i++)
    for (int c = 0; c < C; c++) {
      const double d = partial[i * 2 * C + c] - mean[c];
      m2[c] += partial[(i * 2 + 1) * C + c] + size(i) * d * d;
    }
}

// out = activation(scale y + shift + residual(?)); y may be out.
template <int kind, bool has_residual>
SIMD void normalise(float* out, const float* y, const float* residual,
                    const float* __restrict scale, const float* __restrict shift, int64_t rows,
                    int C) {
  for (int64_t r = 0; r < rows; r++) {
#pragma GCC ivdep
    for (int c = 0; c < C; c++) {
      const int64_t i = r * C + c;
      float z = scale[c] * y[i] + shift[c];
      if constexpr (has_residual) z += residual[i];
      out[i] = activate<kind>(z);
    }
  }
}

// The gradient by z = scale y + shift + residual. With a residual the activation's derivative comes
// from out.
template <int kind, bool has_out>
SIMD_INLINE float gradient_of_z(float dout, float out, float y, float scale, float shift) {
  if constexpr (kind == kNone) return dout;
  return dout * activation_derivative<kind>(has_out ? out : scale * y + shift);
}

// Sums of dz and of dz (y - mean) over some rows.
template <int kind, bool has_out>
SIMD void chunk_sums(float* __restrict sum, float* __restrict sum_y, const float* dout,
                     const float* out, const float* y, const float* __restrict mean,
                     const float* __restrict scale, const float* __restrict shift, int64_t rows,
                     int C) {
  std::fill_n(sum, C, 0.0f);
  std::fill_n(sum_y, C, 0.0f);
  const auto dz = [=](int64_t i, int c) __attribute__((always_inline)) {
    return gradient_of_z<kind, has_out>(dout[i], has_out ? out[i] : 0, y[i], scale[c], shift[c]);
  };
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4)
    for (int c = 0; c < C; c++) {
      const int64_t i = r * C + c;
      const float d0 = dz(i, c), d1 = dz(i + C, c), d2 = dz(i + 2 * C, c), d3 = dz(i + 3 * C, c);
      const float m = mean[c];
      sum[c] += (d0 + d1) + (d2 + d3);
      sum_y[c] += (d0 * (y[i] - m) + d1 * (y[i + C] - m)) +
                  (d2 * (y[i + 2 * C] - m) + d3 * (y[i + 3 * C] - m));
    }
  for (; r < rows; r++)
    for (int c = 0; c < C; c++) {
      const float d = dz(r * C + c, c);
      sum[c] += d;
      sum_y[c] += d * (y[r * C + c] - mean[c]);
    }
}

// dy = scale dz + by_y (y - mean) + constant, written over y; dresidual(?) = dz.
template <int kind, bool has_out>
SIMD void gradient_of_y(float* y, float* dresidual, const float* dout, const float* out,
                        const float* __restrict mean, const float* __restrict scale,
                        const float* __restrict shift, const float* __restrict by_y,
                        const float* __restrict constant, int64_t rows, int C) {
  for (int64_t r = 0; r < rows; r++) {
#pragma GCC ivdep
    for (int c = 0; c < C; c++) {
      const int64_t i = r * C + c;
      const float dz =
          gradient_of_z<kind, has_out>(dout[i], has_out ? out[i] : 0, y[i], scale[c], shift[c]);
      if (dresidual) dresidual[i] = dz;
      y[i] = scale[c] * dz + by_y[c] * (y[i] - mean[c]) + constant[c];
    }
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void convolution_batch_norm(Tensor out, Tensor y, Tensor mean, Tensor rstd, Tensor running_mean,
                            Tensor running_var, Tensor x, Tensor weight, Tensor gamma, Tensor beta,
                            Tensor residual, int stride, int pad_top, int pad_left, int groups,
                            int activation, float momentum, float epsilon, Stream& stream) {
  if (!y) y = out;
  convolution(y, x, weight, {}, {}, stride, pad_top, pad_left, groups, kNone, 0, stream);

  const int C = y.columns();
  const double rows = static_cast<double>(y.rows());
  const size_t partials = static_cast<size_t>(2 * C * chunks_of(y));
  auto* sums = static_cast<double*>(
      stream.scratch(sizeof(double) * 2 * C + sizeof(float) * (2 * C + partials)));
  float* scale = reinterpret_cast<float*>(sums + 2 * C);
  float* shift = scale + C;
  float* partial = shift + C;
  each_chunk(y, [=](int64_t chunk, int64_t row, int64_t count) {
    float* moments = partial + chunk * 2 * C;
    chunk_moments(moments, moments + C, y.f32() + row * C, count, C);
  });
  join_moments(sums, sums + C, partial, y);
  for (int c = 0; c < C; c++) {
    const double variance = sums[C + c] / rows;
    const double inverse = 1.0 / std::sqrt(variance + epsilon);
    scale[c] = static_cast<float>(gamma.f32()[c] * inverse);
    shift[c] = beta.f32()[c] - static_cast<float>(sums[c]) * scale[c];
    if (mean) mean.f32()[c] = static_cast<float>(sums[c]);
    if (rstd) rstd.f32()[c] = static_cast<float>(inverse);
    const auto mix = [=](float& old, double now) {
      old += momentum * (static_cast<float>(now) - old);
    };
    mix(running_mean.f32()[c], sums[c]);
    mix(running_var.f32()[c], sums[C + c] / (rows - 1));
  }
  with_activation(activation, [&](auto kind) {
    each_chunk(y, [=](int64_t, int64_t row, int64_t count) {
      const int64_t at = row * C;
      if (residual)
        normalise<kind, true>(out.f32() + at, y.f32() + at, residual.f32() + at, scale, shift,
                              count, C);
      else
        normalise<kind, false>(out.f32() + at, y.f32() + at, nullptr, scale, shift, count, C);
    });
  });
}

void convolution_batch_norm_backward(Tensor dx, Tensor dweight, Tensor dgamma, Tensor dbeta,
                                     Tensor dresidual, Tensor dout, Tensor out, Tensor y,
                                     Tensor mean, Tensor rstd, Tensor x, Tensor weight,
                                     Tensor gamma, Tensor beta, int stride, int pad_top,
                                     int pad_left, int groups, int activation, Stream& stream) {
  const int C = y.columns();
  const int64_t chunks = chunks_of(y);
  const double rows = static_cast<double>(y.rows());
  auto* sums = static_cast<double*>(stream.scratch(
      sizeof(double) * 2 * C + sizeof(float) * static_cast<size_t>(4 * C + 2 * C * chunks)));
  float* scale = reinterpret_cast<float*>(sums + 2 * C);
  float* shift = scale + C;
  float* by_y = shift + C;
  float* constant = by_y + C;
  float* partial = constant + C;
  // Exactly the forward's numbers, or elements at an activation's edge would change sides.
  for (int c = 0; c < C; c++) {
    scale[c] = gamma.f32()[c] * rstd.f32()[c];
    shift[c] = beta.f32()[c] - mean.f32()[c] * scale[c];
  }
  // At `row`: dout and, with a residual, out.
  const auto with_variant = [&](auto body) {
    with_activation(activation, [&](auto kind) {
      if (out)
        body(kind, std::true_type{});
      else
        body(kind, std::false_type{});
    });
  };
  with_variant([&](auto kind, auto has_out) {
    each_chunk(y, [=](int64_t chunk, int64_t row, int64_t count) {
      const int64_t at = row * C;
      float* sum = partial + chunk * 2 * C;
      chunk_sums<kind, has_out>(sum, sum + C, dout.f32() + at, has_out ? out.f32() + at : nullptr,
                                y.f32() + at, mean.f32(), scale, shift, count, C);
    });
  });
  std::fill_n(sums, 2 * C, 0.0);
  for (int64_t i = 0; i < chunks; i++)
    for (int c = 0; c < 2 * C; c++) sums[c] += partial[i * 2 * C + c];
  for (int c = 0; c < C; c++) {
    const double r = rstd.f32()[c];
    if (dbeta) dbeta.f32()[c] = static_cast<float>(sums[c]);
    if (dgamma) dgamma.f32()[c] = static_cast<float>(sums[C + c] * r);
    constant[c] = static_cast<float>(-scale[c] * sums[c] / rows);
    by_y[c] = static_cast<float>(-scale[c] * r * r * sums[C + c] / rows);
  }
  with_variant([&](auto kind, auto has_out) {
    each_chunk(y, [=](int64_t, int64_t row, int64_t count) {
      const int64_t at = row * C;
      gradient_of_y<kind, has_out>(y.f32() + at, dresidual ? dresidual.f32() + at : nullptr,
                                   dout.f32() + at, has_out ? out.f32() + at : nullptr, mean.f32(),
                                   scale, shift, by_y, constant, count, C);
    });
  });
  convolution_backward(dx, dweight, {}, {}, y, x, weight, {}, stride, pad_top, pad_left, groups,
                       kNone, stream);
}

void fold_batch_norm(Tensor folded_weight, Tensor folded_bias, Tensor weight, Tensor gamma,
                     Tensor beta, Tensor mean, Tensor var, float epsilon, Stream&) {
  const int O = weight.shape[0];
  const int64_t n = weight.size() / O;
  for (int o = 0; o < O; o++) {
    const float scale = gamma.f32()[o] / std::sqrt(var.f32()[o] + epsilon);
    const float* from = weight.f32() + o * n;
    std::transform(from, from + n, folded_weight.f32() + o * n, [=](float w) { return w * scale; });
    if (folded_bias) folded_bias.f32()[o] = beta.f32()[o] - mean.f32()[o] * scale;
  }
}

}  // namespace cpu
