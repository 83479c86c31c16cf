// Dropout with counter-based random numbers (random.cuh), so that the backward pass makes the same
// mask again. Bound by memory bandwidth: a Philox block serves eight elements.
#include "device/random.cuh"
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kTogether = 8;  // elements of one Philox block

// A thread takes the elements of one Philox block; residual may be null. `together`: pointers are
// aligned to 16 bytes. out may be x or residual.
template <class T, bool together>
__global__ void dropout_kernel(T* out, const T* x, const T* residual, const int* rng,
                               DropoutRate rate, int tag, int64_t size) {
  const int64_t block = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t first = block * kTogether;
  if (first >= size) return;
  float factors[kTogether];
  dropout_factors(factors, static_cast<uint64_t>(block), Randomness(rng, tag), rate);
  if (together && first + kTogether <= size) {
    float values[kTogether], others[kTogether] = {};
    load(values, x + first);
    if (residual) load(others, residual + first);
#pragma unroll
    for (int i = 0; i < kTogether; i++) values[i] = values[i] * factors[i] + others[i];
    store(out + first, values);
  } else {
#pragma unroll
    for (int i = 0; i < kTogether; i++) {
      if (first + i < size) {
        const float other = residual ? to_float(residual[first + i]) : 0.0f;
        out[first + i] = from_float<T>(to_float(x[first + i]) * factors[i] + other);
      }
    }
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void dropout(Tensor out, Tensor x, Tensor residual, Tensor rng, float probability, int tag,
             Stream& stream) {
  const int64_t threads = ceil_div<int64_t>(out.size(), kTogether);
  const auto blocks = static_cast<unsigned>(ceil_div<int64_t>(threads, kThreads));
  with_float_type(out, [&]<class T>(T) {
    launch(aligned(out, x, residual) ? dropout_kernel<T, true> : dropout_kernel<T, false>, blocks,
           kThreads, 0, stream, data<T>(out), data<T>(x), data<T>(residual), data<int>(rng),
           DropoutRate(probability), tag, out.size());
  });
}

}  // namespace cuda
