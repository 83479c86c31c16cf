// Gradient norm, the step counter, optimizers and averaging over flat buffers. An optimizer's step
// is bound by memory bandwidth: 28 bytes per parameter (weight, m and v read and written, the
// gradient read). Sources of the rules: ts/train/optimizer.ts.
#include <algorithm>
#include <cmath>
#include <limits>

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

enum Rule { kAdam, kAdaBelief, kSgd };  // as in kernels.h

struct StepConstants {
  float beta1, beta2, epsilon;
  float gradient_scale, largest_gradient;
  float coupled_decay;      // added to the gradient: this times the weight
  float kept;               // of a weight by decoupled decay: 1 - learning rate * weight decay
  float step_size;          // learning rate / (1 - beta1^t); SGD: the learning rate
  float second_correction;  // 1 / sqrt(1 - beta2^t)
  bool adaptive;            // false: RAdam's first steps, without v
};

// RAdam's factor of the step size, 0 where the variance cannot be told yet. Source: Liu et al.
// 2020, arXiv:1908.03265, algorithm 2, from length 5 on as its authors' code.
double rectification(double beta2, double steps) {
  const double power = std::pow(beta2, steps);
  const double longest = 2 / (1 - beta2) - 1;
  const double length = longest - 2 * steps * power / (1 - power);
  if (length < 5) return 0;
  return std::sqrt((length - 4) * (length - 2) * longest /
                   ((longest - 4) * (longest - 2) * length));
}

template <Rule rule>
SIMD void step_piece(float* weight, float* m, float* v, const float* grad, int64_t n,
                     StepConstants with) {
  for (int64_t i = 0; i < n; i++) {
    float g = grad[i] * with.gradient_scale;
    g = std::max(-with.largest_gradient, std::min(with.largest_gradient, g));
    g += with.coupled_decay * weight[i];
    if constexpr (rule == kSgd) {
      m[i] = with.beta1 * m[i] + g;
      weight[i] = weight[i] * with.kept - with.step_size * m[i];
    } else {
      m[i] = with.beta1 * m[i] + (1.0f - with.beta1) * g;
      const float surprise = rule == kAdaBelief ? g - m[i] : g;
      v[i] = with.beta2 * v[i] + (1.0f - with.beta2) * surprise * surprise;
      if constexpr (rule == kAdaBelief) v[i] += with.epsilon;
      const float scale = std::sqrt(v[i]) * with.second_correction + with.epsilon;
      weight[i] = weight[i] * with.kept - with.step_size * m[i] / (with.adaptive ? scale : 1.0f);
    }
  }
}

SIMD void average_piece(float* average, const float* weight, int64_t n, float share) {
  for (int64_t i = 0; i < n; i++) average[i] += share * (weight[i] - average[i]);
}

StepConstants step_constants(Rule rule, double steps, double learning_rate, bool decoupled,
                             bool rectify, float beta1, float beta2, float epsilon,
                             float weight_decay) {
  StepConstants with{.beta1 = beta1,
                     .beta2 = beta2,
                     .epsilon = epsilon,
                     .gradient_scale = 1.0f,
                     .largest_gradient = std::numeric_limits<float>::infinity(),
                     .coupled_decay = decoupled ? 0.0f : weight_decay,
                     .kept = static_cast<float>(decoupled ? 1 - learning_rate * weight_decay : 1),
                     .step_size = static_cast<float>(learning_rate),
                     .second_correction = 1.0f,
                     .adaptive = true};
  if (rule == kSgd) return with;
  const double first = learning_rate / (1 - std::pow(double{beta1}, steps));
  const double second = std::sqrt(1 - std::pow(double{beta2}, steps));
  with.step_size = static_cast<float>(first);
  with.second_correction = static_cast<float>(1 / second);
  if (rectify) {
    const double factor = rectification(beta2, steps);
    with.adaptive = factor > 0;
    if (with.adaptive) with.step_size = static_cast<float>(first * factor * second);
    with.second_correction = 1.0f;
  }
  return with;
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

void optimizer_step(Tensor weight, Tensor half_weight, Tensor m, Tensor v, Tensor grad, Tensor norm,
                    Tensor state, int rule, bool decoupled, bool rectify, float learning_rate_scale,
                    float beta1, float beta2, float epsilon, float weight_decay, float clip_norm,
                    float clip_value, Stream&) {
  const float length = norm.f32()[0];
  if (!std::isfinite(length)) return;
  const double learning_rate = double{state.f32()[0]} * learning_rate_scale;
  StepConstants with = step_constants(static_cast<Rule>(rule), state.f32()[1], learning_rate,
                                      decoupled, rectify, beta1, beta2, epsilon, weight_decay);
  if (clip_norm > 0 && length > clip_norm) with.gradient_scale = clip_norm / length;
  if (clip_value > 0) with.largest_gradient = clip_value;
  const auto step = rule == kAdam        ? step_piece<kAdam>
                    : rule == kAdaBelief ? step_piece<kAdaBelief>
                                         : step_piece<kSgd>;
  const int64_t size = weight.size();
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < size; start += kPiece) {
    const int64_t n = std::min(kPiece, size - start);
    step(weight.f32() + start, m.f32() + start, v ? v.f32() + start : nullptr, grad.f32() + start,
         n, with);
    if (half_weight)
      std::transform(weight.f32() + start, weight.f32() + start + n, half_weight.bf16() + start,
                     to_bf16);
  }
}

void average_weights(Tensor average, Tensor weight, Tensor state, float decay, Stream&) {
  if (state.f32()[3] > 0) return;
  const float steps = state.f32()[1];
  const float share = 1.0f - std::min(decay, (1.0f + steps) / (10.0f + steps));
  const int64_t size = average.size();
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < size; start += kPiece)
    average_piece(average.f32() + start, weight.f32() + start, std::min(kPiece, size - start),
                  share);
}

}  // namespace cpu
