// Batch normalisation with running statistics folded into the weights of the convolution before it.
// Memory: reads and writes each weight once.
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 128;

// A block an output channel, whose weights lie together.
template <class T>
__global__ void fold_batch_norm_kernel(T* folded_weight, float* folded_bias, const T* weight,
                                       const float* gamma, const float* beta, const float* mean,
                                       const float* var, float epsilon, int size) {
  const int o = static_cast<int>(blockIdx.x);
  const float scale = gamma[o] / sqrtf(var[o] + epsilon);
  const int64_t first = int64_t{o} * size;
  for (int i = static_cast<int>(threadIdx.x); i < size; i += static_cast<int>(blockDim.x))
    folded_weight[first + i] = from_float<T>(to_float(weight[first + i]) * scale);
  if (folded_bias && threadIdx.x == 0) folded_bias[o] = beta[o] - mean[o] * scale;
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void fold_batch_norm(Tensor folded_weight, Tensor folded_bias, Tensor weight, Tensor gamma,
                     Tensor beta, Tensor mean, Tensor var, float epsilon, Stream& stream) {
  const int filters = weight.shape[0];
  if (weight.size() == 0) return;
  const int size = static_cast<int>(weight.size() / filters);
  with_float_type(weight, [&]<class T>(T) {
    launch(fold_batch_norm_kernel<T>, static_cast<unsigned>(filters), std::min(size, kThreads), 0,
           stream, data<T>(folded_weight), data<float>(folded_bias), data<T>(weight),
           data<float>(gamma), data<float>(beta), data<float>(mean), data<float>(var), epsilon,
           size);
  });
}

}  // namespace cuda
