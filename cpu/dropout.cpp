// Dropout with counter-based random numbers (random.h), so that the backward pass makes the same
// mask again.
#include <algorithm>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "random.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

constexpr int64_t kRun = 4096;

// residual may be null.
SIMD void apply(float* out, const float* x, const float* factors, const float* residual,
                int64_t n) {
  if (residual) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * factors[i] + residual[i];
  } else {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * factors[i];
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void dropout(Tensor out, Tensor x, Tensor residual, Tensor rng, float probability, int tag,
             Stream&) {
  const int64_t size = out.size();
  const Randomness by(rng, tag);
#pragma omp parallel for schedule(static) if (size > 2 * kRun)
  for (int64_t start = 0; start < size; start += kRun) {
    const int64_t n = std::min(kRun, size - start);
    float factors[kRun];
    dropout_factors(factors, start, n, by, probability);
    apply(out.f32() + start, x.f32() + start, factors, residual ? residual.f32() + start : nullptr,
          n);
  }
}

}  // namespace cpu
