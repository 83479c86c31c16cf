// The one header that kernels include: CUDA's names, bf16, shared memory. In the tests' emulated
// build <cuda_runtime.h> is the emulator's. PTX is ptx.cuh's.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#define DEVICE __device__ __forceinline__

// Code for Hopper's own instructions (wgmma, setmaxnreg) exists in the sm_90a pass only.
#if defined(CAPTIONEER_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define CAPTIONEER_HOPPER 1
#endif

#ifdef CAPTIONEER_EMULATED
#include "emulator/shared.h"
#else
// SHARED(float, tile, [32][33]); in a kernel: float tile[32][33] in shared memory.
#define SHARED(T, name, dimensions) __shared__ __align__(16) T name dimensions
#endif

namespace cuda {

using bf16 = __nv_bfloat16;
using bf162 = __nv_bfloat162;

constexpr unsigned kAllLanes = 0xffffffffu;

// The block's dynamic shared memory, whose size the launch gives; 1024-byte aligned, as TMA's
// widest swizzle wants it.
template <class T>
DEVICE T* dynamic_shared() {
#ifdef CAPTIONEER_EMULATED
  return static_cast<T*>(emulator::dynamic_shared());
#else
  extern __shared__ __align__(1024) unsigned char dynamic_shared_bytes[];
  return reinterpret_cast<T*>(dynamic_shared_bytes);
#endif
}

DEVICE int lane_id() { return threadIdx.x & 31; }
DEVICE int warp_id() { return threadIdx.x >> 5; }

// Division of sizes, rounded up.
template <class T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace cuda
