// Gradient norm, the step counter, optimizers and averaging over flat buffers. An optimizer's step
// is bound by memory bandwidth: 30 bytes per parameter (weight, m and v read and written, the
// gradient read, the half weight written). Sources of the rules: ts/train/optimizer.ts.
#include <cmath>

#include "device/reduce.cuh"
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kPiece = 16384;  // elements whose squares one block adds
constexpr int kTogether = 4;   // parameters of one thread: 16 bytes of each float32 array

// partial[i] = the sum of the squares of piece i. N elements an access.
template <int N>
__global__ void __launch_bounds__(kThreads)
    square_pieces_kernel(float* partial, const float* x, int64_t size) {
  const int64_t first = int64_t{blockIdx.x} * kPiece;
  const int64_t end = min(size, first + kPiece);
  float lanes[N] = {};
#pragma unroll 4
  for (int64_t i = first + static_cast<int>(threadIdx.x) * N; i < end; i += kThreads * N) {
    float value[N];
    load(value, x + i);
#pragma unroll
    for (int j = 0; j < N; j++) lanes[j] += value[j] * value[j];
  }
  float sum = 0.0f;
#pragma unroll
  for (int j = 0; j < N; j++) sum += lanes[j];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block.
__global__ void __launch_bounds__(kThreads)
    root_of_sum_kernel(float* norm, const float* partial, int count) {
  float sum = 0.0f;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) sum += partial[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) norm[0] = sqrtf(sum);
}

__global__ void advance_step_kernel(float* state, const float* norm) {
  if (isfinite(norm[0])) {
    state[1] += 1.0f;
    state[3] = 0.0f;
  } else {
    state[2] += 1.0f;
    state[3] += 1.0f;
  }
}

enum Rule { kAdam, kAdaBelief, kSgd };  // as in kernels.h

struct StepOptions {
  bool decoupled, rectify;
  float learning_rate_scale, beta1, beta2, epsilon, weight_decay, clip_norm, clip_value;
  float log_beta1, log_beta2;
  float longest;  // 2 / (1 - beta2) - 1: what RAdam's length goes to ...
  float offset;   // ... and its length at step 0, 2 / log(beta2) + longest
};

// What all elements of a step share.
struct StepFactors {
  float clip, largest_gradient;
  float coupled_decay;  // added to the gradient: this times the weight
  float kept;           // of a weight by decoupled decay
  float step_size, second_correction;
  bool adaptive;  // false: RAdam's first steps, without v
};

// 1 - beta^steps, exact to the last places also when it is small.
DEVICE float correction(float log_beta, float steps) { return -expm1f(steps * log_beta); }

// RAdam's factor of the step size, 0 where the variance cannot be told yet. Source: Liu et al.
// 2020, arXiv:1908.03265, algorithm 2, from length 5 on as its authors' code. Its length, longest -
// 2 steps beta2^steps / (1 - beta2^steps), is a difference of large numbers in the beginning, hence
// the series of 2 / x - 2 / (e^x - 1).
DEVICE float rectification(const StepOptions& with, float steps) {
  const float x = -steps * with.log_beta2;
  const float share = x < 1.0f ? 1.0f - x / 6.0f * (1.0f - x * x / 60.0f * (1.0f - x * x / 42.0f))
                               : 2.0f / x - 2.0f / expm1f(x);
  const float length = with.offset + steps * share;
  if (length < 5.0f) return 0.0f;
  return sqrtf((length - 4.0f) / (with.longest - 4.0f) * (length - 2.0f) / (with.longest - 2.0f) *
               with.longest / length);
}

template <Rule rule>
DEVICE StepFactors step_factors(const StepOptions& with, float length, float rate, float steps) {
  const float learning_rate = rate * with.learning_rate_scale;
  StepFactors factors{
      .clip = with.clip_norm > 0.0f && length > with.clip_norm ? with.clip_norm / length : 1.0f,
      .largest_gradient = with.clip_value > 0.0f ? with.clip_value : INFINITY,
      .coupled_decay = with.decoupled ? 0.0f : with.weight_decay,
      .kept = with.decoupled ? 1.0f - learning_rate * with.weight_decay : 1.0f,
      .step_size = learning_rate,
      .second_correction = 1.0f,
      .adaptive = true};
  if constexpr (rule != kSgd) {
    factors.step_size = learning_rate / correction(with.log_beta1, steps);
    const float second = sqrtf(correction(with.log_beta2, steps));
    if (with.rectify) {
      const float factor = rectification(with, steps);
      factors.adaptive = factor > 0.0f;
      if (factors.adaptive) factors.step_size *= factor * second;
    } else {
      factors.second_correction = 1.0f / second;
    }
  }
  return factors;
}

template <Rule rule>
DEVICE void update(float& weight, float& m, float& v, float grad, const StepOptions& with,
                   const StepFactors& factors) {
  float g = fminf(fmaxf(grad * factors.clip, -factors.largest_gradient), factors.largest_gradient);
  g += factors.coupled_decay * weight;
  if constexpr (rule == kSgd) {
    m = with.beta1 * m + g;
    weight = weight * factors.kept - factors.step_size * m;
  } else {
    m = with.beta1 * m + (1.0f - with.beta1) * g;
    const float surprise = rule == kAdaBelief ? g - m : g;
    v = with.beta2 * v + (1.0f - with.beta2) * surprise * surprise;
    if constexpr (rule == kAdaBelief) v += with.epsilon;
    const float scale = sqrtf(v) * factors.second_correction + with.epsilon;
    weight = weight * factors.kept - factors.step_size * m / (factors.adaptive ? scale : 1.0f);
  }
}

// half_weight may be null, and so may v for SGD. `together`: all pointers are aligned to 16 bytes.
// Four blocks a multiprocessor leave registers enough on every architecture.
template <Rule rule, bool together>
__global__ void __launch_bounds__(kThreads, 4)
    step_kernel(float* weight, bf16* half_weight, float* m, float* v, const float* grad,
                const float* norm, const float* state, StepOptions with, int64_t size) {
  const float length = norm[0];
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kTogether;
  if (!isfinite(length) || first >= size) return;
  const StepFactors factors = step_factors<rule>(with, length, state[0], state[1]);
  constexpr bool has_v = rule != kSgd;
  if (together && first + kTogether <= size) {
    float weights[kTogether], ms[kTogether], vs[kTogether] = {}, grads[kTogether];
    load(weights, weight + first);
    load(ms, m + first);
    if constexpr (has_v) load(vs, v + first);
    load(grads, grad + first);
#pragma unroll
    for (int i = 0; i < kTogether; i++)
      update<rule>(weights[i], ms[i], vs[i], grads[i], with, factors);
    store(weight + first, weights);
    store(m + first, ms);
    if constexpr (has_v) store(v + first, vs);
    if (half_weight) store(half_weight + first, weights);
  } else {
    for (int64_t i = first; i < min(size, first + kTogether); i++) {
      float none = 0.0f;
      update<rule>(weight[i], m[i], has_v ? v[i] : none, grad[i], with, factors);
      if (half_weight) half_weight[i] = from_float<bf16>(weight[i]);
    }
  }
}

// `together`: both pointers are aligned to 16 bytes.
template <bool together>
__global__ void __launch_bounds__(kThreads)
    average_kernel(float* average, const float* weight, const float* state, float decay,
                   int64_t size) {
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kTogether;
  if (state[3] > 0.0f || first >= size) return;
  const float share = 1.0f - fminf(decay, (1.0f + state[1]) / (10.0f + state[1]));
  if (together && first + kTogether <= size) {
    float averages[kTogether], weights[kTogether];
    load(averages, average + first);
    load(weights, weight + first);
#pragma unroll
    for (int i = 0; i < kTogether; i++) averages[i] += share * (weights[i] - averages[i]);
    store(average + first, averages);
  } else {
    for (int64_t i = first; i < min(size, first + kTogether); i++)
      average[i] += share * (weight[i] - average[i]);
  }
}

unsigned blocks_of(int64_t size) {
  return static_cast<unsigned>(ceil_div<int64_t>(size, int64_t{kThreads} * kTogether));
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void gradient_norm(Tensor norm, Tensor grad, Stream& stream) {
  const int64_t size = grad.size();
  const auto count = static_cast<unsigned>(ceil_div<int64_t>(size, kPiece));
  auto* partial = static_cast<float*>(stream.scratch(count * sizeof(float)));
  launch(aligned(grad) && size % 4 == 0 ? square_pieces_kernel<4> : square_pieces_kernel<1>, count,
         kThreads, 0, stream, partial, data<float>(grad), size);
  launch(root_of_sum_kernel, 1, kThreads, 0, stream, data<float>(norm), partial, count);
}

void advance_step(Tensor state, Tensor norm, Stream& stream) {
  launch(advance_step_kernel, 1, 1, 0, stream, data<float>(state), data<float>(norm));
}

void optimizer_step(Tensor weight, Tensor half_weight, Tensor m, Tensor v, Tensor grad, Tensor norm,
                    Tensor state, int rule, bool decoupled, bool rectify, float learning_rate_scale,
                    float beta1, float beta2, float epsilon, float weight_decay, float clip_norm,
                    float clip_value, Stream& stream) {
  const double longest = 2 / (1 - double{beta2}) - 1;
  const StepOptions with{.decoupled = decoupled,
                         .rectify = rectify,
                         .learning_rate_scale = learning_rate_scale,
                         .beta1 = beta1,
                         .beta2 = beta2,
                         .epsilon = epsilon,
                         .weight_decay = weight_decay,
                         .clip_norm = clip_norm,
                         .clip_value = clip_value,
                         .log_beta1 = std::log(beta1),
                         .log_beta2 = std::log(beta2),
                         .longest = static_cast<float>(longest),
                         .offset = static_cast<float>(longest + 2 / std::log(double{beta2}))};
  const auto run = [&](auto kernel) {
    launch(kernel, blocks_of(weight.size()), kThreads, 0, stream, data<float>(weight),
           data<bf16>(half_weight), data<float>(m), data<float>(v), data<float>(grad),
           data<float>(norm), data<float>(state), with, weight.size());
  };
  const bool together = aligned(weight, half_weight, m, v, grad);
  if (rule == kAdam) run(together ? step_kernel<kAdam, true> : step_kernel<kAdam, false>);
  if (rule == kAdaBelief)
    run(together ? step_kernel<kAdaBelief, true> : step_kernel<kAdaBelief, false>);
  if (rule == kSgd) run(together ? step_kernel<kSgd, true> : step_kernel<kSgd, false>);
}

void average_weights(Tensor average, Tensor weight, Tensor state, float decay, Stream& stream) {
  launch(aligned(average, weight) ? average_kernel<true> : average_kernel<false>,
         blocks_of(average.size()), kThreads, 0, stream, data<float>(average), data<float>(weight),
         data<float>(state), decay, average.size());
}

}  // namespace cuda
