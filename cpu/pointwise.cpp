// See pointwise.h. Bound by the products, and by memory where channels are few.
#include "pointwise.h"

#include <algorithm>

#include "activation.h"
#include "split_product.h"

namespace cpu {
namespace {

// Rows of n elements, `stride` apart in out and residual.
template <int kind>
SIMD void finish_rows(float* out, const float* bias, const float* residual, int64_t rows, int64_t n,
                      int64_t stride) {
  for (int64_t row = 0; row < rows; row++, out += stride) {
    if (bias)
      for (int64_t i = 0; i < n; i++) out[i] += bias[i];
    if (residual) {
      for (int64_t i = 0; i < n; i++) out[i] += residual[i];
      residual += stride;
    }
    if (kind != kNone)
      for (int64_t i = 0; i < n; i++) out[i] = activate<kind>(out[i]);
  }
}

}  // namespace

bool suits_pointwise(const PointwiseSizes& s) {
  constexpr int64_t kLeastChannels = 64, kLeastWeights = 1 << 13;
  return always_split() ||
         (std::min(s.used, s.O) >= kLeastChannels && s.used * s.O >= kLeastWeights &&
          pays_to_split(s.of_image, s.O, s.used));
}

void convolve_pointwise(const PointwiseSizes& s, float* out, const float* x, const float* weight,
                        const float* bias, const float* residual, int activation) {
  const auto finish = [&](const Part& part) {
    const int64_t at = part.row * s.O + part.column;
    with_activation(activation, [&](auto kind) {
      finish_rows<decltype(kind)::value>(out + at, bias ? bias + part.column : nullptr,
                                         residual ? residual + at : nullptr, part.rows,
                                         part.columns, s.O);
    });
  };
  multiply_split({out, s.O, {x, s.C, true}, {weight, s.used, true}, s.pixels, s.O, s.used}, finish);
}

void pointwise_gradients(const PointwiseSizes& s, float* dx, float* dweight, const float* g,
                         const float* x, const float* weight) {
  if (dx) multiply_split({dx, s.C, {g, s.O, true}, {weight, s.used, false}, s.pixels, s.used, s.O});
  if (dweight)
    multiply_split({dweight, s.used, {g, s.O, false}, {x, s.C, false}, s.O, s.used, s.pixels});
}

}  // namespace cpu
