// Gradient norm, the step counter, and AdamW over flat buffers. AdamW is bound by memory bandwidth:
// 30 bytes per parameter (weight, m and v read and written, the gradient read, the half weight
// written).
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

struct AdamwOptions {
  float learning_rate_scale, beta1, beta2, epsilon, weight_decay, clip_norm;
  float log_beta1, log_beta2;
};

// 1 - beta^steps, exact to the last places also when it is small.
DEVICE float correction(float log_beta, float steps) { return -expm1f(steps * log_beta); }

// half_weight may be null. `together`: all pointers are aligned to 16 bytes.
template <bool together>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(float* weight, bf16* half_weight, float* m, float* v, const float* grad,
                 const float* norm, const float* state, AdamwOptions with, int64_t size) {
  const float length = norm[0];
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kTogether;
  if (!isfinite(length) || first >= size) return;
  const float learning_rate = state[0] * with.learning_rate_scale;
  const float clip =
      with.clip_norm > 0.0f && length > with.clip_norm ? with.clip_norm / length : 1.0f;
  const float decay = 1.0f - learning_rate * with.weight_decay;
  const float step_size = learning_rate / correction(with.log_beta1, state[1]);
  const float second_correction = 1.0f / sqrtf(correction(with.log_beta2, state[1]));
  const auto update = [&](float& weight, float& m, float& v, float grad) {
    const float g = grad * clip;
    m = with.beta1 * m + (1.0f - with.beta1) * g;
    v = with.beta2 * v + (1.0f - with.beta2) * g * g;
    weight = weight * decay - step_size * m / (sqrtf(v) * second_correction + with.epsilon);
  };
  if (together && first + kTogether <= size) {
    float weights[kTogether], ms[kTogether], vs[kTogether], grads[kTogether];
    load(weights, weight + first);
    load(ms, m + first);
    load(vs, v + first);
    load(grads, grad + first);
#pragma unroll
    for (int i = 0; i < kTogether; i++) update(weights[i], ms[i], vs[i], grads[i]);
    store(weight + first, weights);
    store(m + first, ms);
    store(v + first, vs);
    if (half_weight) store(half_weight + first, weights);
  } else {
    for (int64_t i = first; i < min(size, first + kTogether); i++) {
      update(weight[i], m[i], v[i], grad[i]);
      if (half_weight) half_weight[i] = from_float<bf16>(weight[i]);
    }
  }
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

void adamw(Tensor weight, Tensor half_weight, Tensor m, Tensor v, Tensor grad, Tensor norm,
           Tensor state, float learning_rate_scale, float beta1, float beta2, float epsilon,
           float weight_decay, float clip_norm, Stream& stream) {
  const AdamwOptions with{learning_rate_scale, beta1,     beta2,           epsilon,
                          weight_decay,        clip_norm, std::log(beta1), std::log(beta2)};
  const int64_t threads = ceil_div<int64_t>(weight.size(), kTogether);
  const auto blocks = static_cast<unsigned>(ceil_div<int64_t>(threads, kThreads));
  launch(aligned(weight, half_weight, m, v, grad) ? adamw_kernel<true> : adamw_kernel<false>,
         blocks, kThreads, 0, stream, data<float>(weight), data<bf16>(half_weight), data<float>(m),
         data<float>(v), data<float>(grad), data<float>(norm), data<float>(state), with,
         weight.size());
}

}  // namespace cuda
