// CUDA's error codes as the exceptions of binding/errors.h.
#pragma once
#include <cuda_runtime.h>

namespace cuda {

// Throws OutOfMemoryError or DeviceError unless `status` is success. `doing` names the call.
void check(cudaError_t status, const char* doing);

}  // namespace cuda
