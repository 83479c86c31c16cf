// The tokens of a vision transformer: a learned first one, then those of the patches, with
// positions (Dosovitskiy et al. 2020, arXiv:2010.11929, equation 1), and their gradients. Bound by
// memory.
#include <algorithm>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

SIMD void add_row(float* out, const float* a, const float* b, int n) {
  for (int i = 0; i < n; i++) out[i] = a[i] + b[i];
}

SIMD void accumulate_row(float* sums, const float* x, int n) {
  for (int i = 0; i < n; i++) sums[i] += x[i];
}

// sums [n] = the sum of `count` rows that are `stride` apart.
void sum_rows(float* sums, const float* x, int count, int64_t stride, int n) {
  std::fill_n(sums, n, 0.0f);
  for (int i = 0; i < count; i++) accumulate_row(sums, x + i * stride, n);
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void image_tokens(Tensor out, Tensor x, Tensor first, Tensor positions, Stream&) {
  const int B = out.shape[0], S = out.shape[1], C = out.shape[2];
#pragma omp parallel for schedule(static) collapse(2)
  for (int b = 0; b < B; b++)
    for (int s = 0; s < S; s++) {
      const float* from =
          s == 0 ? first.f32() : x.f32() + (static_cast<int64_t>(b) * (S - 1) + s - 1) * C;
      add_row(out.f32() + (static_cast<int64_t>(b) * S + s) * C, from,
              positions.f32() + static_cast<int64_t>(s) * C, C);
    }
}

void image_tokens_backward(Tensor dx, Tensor dfirst, Tensor dpositions, Tensor dout, Stream&) {
  const int B = dout.shape[0], S = dout.shape[1], C = dout.shape[2];
  const int64_t image = static_cast<int64_t>(S) * C;
#pragma omp parallel for schedule(static)
  for (int s = 0; s < S; s++) {
    const float* from = dout.f32() + static_cast<int64_t>(s) * C;
    if (dx && s > 0)
      for (int b = 0; b < B; b++)
        std::copy_n(from + b * image, C,
                    dx.f32() + (static_cast<int64_t>(b) * (S - 1) + s - 1) * C);
    if (dpositions) sum_rows(dpositions.f32() + static_cast<int64_t>(s) * C, from, B, image, C);
    if (dfirst && s == 0) sum_rows(dfirst.f32(), from, B, image, C);
  }
}

}  // namespace cpu
