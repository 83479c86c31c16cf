// Gradient norm, the step counter, and AdamW over flat buffers. AdamW is bound by memory bandwidth:
// 28 bytes per parameter (weight, m and v read and written, the gradient read).
#include <algorithm>
#include <cmath>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "bfloat16.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Pieces of a flat buffer; their size is fixed, so that sums do not depend on the number of
// threads, and small, so that float32 holds a lane's share of the sum.
constexpr int64_t kPiece = 16384;

SIMD double sum_of_squares(const float* x, int64_t n) {
  constexpr int64_t kLanes = 64;  // several vectors: no addition waits for the one before it
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; lane++) lanes[lane] += x[i + lane] * x[i + lane];
  for (; i < n; i++) lanes[0] += x[i] * x[i];
  double total = 0;
  for (float lane : lanes) total += lane;
  return total;
}

struct AdamwConstants {
  float beta1, beta2, epsilon;
  float gradient_scale;
  float decay;              // 1 - learning rate * weight decay
  float step_size;          // learning rate / (1 - beta1^t)
  float second_correction;  // 1 / sqrt(1 - beta2^t)
};

SIMD void adamw_piece(float* weight, float* m, float* v, const float* grad, int64_t n,
                      AdamwConstants with) {
  for (int64_t i = 0; i < n; i++) {
    const float g = grad[i] * with.gradient_scale;
    m[i] = with.beta1 * m[i] + (1.0f - with.beta1) * g;
    v[i] = with.beta2 * v[i] + (1.0f - with.beta2) * g * g;
    weight[i] = weight[i] * with.decay -
                with.step_size * m[i] / (std::sqrt(v[i]) * with.second_correction + with.epsilon);
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void gradient_norm(Tensor norm, Tensor grad, Stream& stream) {
  const int64_t size = grad.size();
  const int64_t count = (size + kPiece - 1) / kPiece;
  auto* sums = static_cast<double*>(stream.scratch(static_cast<size_t>(count) * sizeof(double)));
#pragma omp parallel for schedule(static)
  for (int64_t piece = 0; piece < count; piece++)
    sums[piece] =
        sum_of_squares(grad.f32() + piece * kPiece, std::min(kPiece, size - piece * kPiece));
  double total = 0;
  for (int64_t piece = 0; piece < count; piece++) total += sums[piece];
  norm.f32()[0] = static_cast<float>(std::sqrt(total));
}

void advance_step(Tensor state, Tensor norm, Stream&) {
  float& taken = state.f32()[1];
  float& skipped = state.f32()[2];
  float& skipped_in_a_row = state.f32()[3];
  if (std::isfinite(norm.f32()[0])) {
    taken += 1;
    skipped_in_a_row = 0;
  } else {
    skipped += 1;
    skipped_in_a_row += 1;
  }
}

void adamw(Tensor weight, Tensor half_weight, Tensor m, Tensor v, Tensor grad, Tensor norm,
           Tensor state, float learning_rate_scale, float beta1, float beta2, float epsilon,
           float weight_decay, float clip_norm, Stream&) {
  const float length = norm.f32()[0];
  if (!std::isfinite(length)) return;
  const double steps = state.f32()[1];
  const double learning_rate = double{state.f32()[0]} * learning_rate_scale;
  const AdamwConstants with{
      .beta1 = beta1,
      .beta2 = beta2,
      .epsilon = epsilon,
      .gradient_scale = clip_norm > 0 && length > clip_norm ? clip_norm / length : 1.0f,
      .decay = static_cast<float>(1 - learning_rate * weight_decay),
      .step_size = static_cast<float>(learning_rate / (1 - std::pow(double{beta1}, steps))),
      .second_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(double{beta2}, steps))),
  };
  const int64_t size = weight.size();
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < size; start += kPiece) {
    const int64_t n = std::min(kPiece, size - start);
    adamw_piece(weight.f32() + start, m.f32() + start, v.f32() + start, grad.f32() + start, n,
                with);
    if (half_weight)
      std::transform(weight.f32() + start, weight.f32() + start + n, half_weight.bf16() + start,
                     to_bf16);
  }
}

}  // namespace cpu
