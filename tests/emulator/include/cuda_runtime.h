// Stands in for CUDA's header of this name when kernels are built for the emulator.
#pragma once
#include "emulator/atomics.h"
#include "emulator/device_math.h"
#include "emulator/execution.h"
#include "emulator/launch.h"
#include "emulator/runtime_api.h"
#include "emulator/vector_types.h"
#include "emulator/warp_functions.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)

#define threadIdx (::emulator::current.thread)
#define blockIdx (::emulator::current.block)
#define blockDim (::emulator::current.block_size)
#define gridDim (::emulator::current.grid_size)
constexpr int warpSize = 32;
