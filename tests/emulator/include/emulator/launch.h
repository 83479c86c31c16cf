// Launching a kernel on the emulated device.
#pragma once
#include <functional>
#include <string>

#include "emulator/runtime_api.h"
#include "emulator/settings.h"
#include "emulator/vector_types.h"

namespace emulator {

// Runs `body` once for each thread of the grid, or records it while the stream captures a graph.
// `kernel` (the kernel function, may be null) is only for names in reports. An error of the kernel
// is cudaErrorLaunchFailure, with the text in last_report() and in cudaGetErrorString.
cudaError_t launch(const void* kernel, dim3 grid, dim3 block, size_t dynamic_shared_bytes,
                   cudaStream_t stream, std::function<void()> body);
// The same, with all blocks in execution together, so that grid_barrier() works.
cudaError_t launch_cooperative(const void* kernel, dim3 grid, dim3 block,
                               size_t dynamic_shared_bytes, cudaStream_t stream,
                               std::function<void()> body);

// What went wrong in the last launch that failed; empty if none has.
std::string last_report();

// An allocator that keeps blocks tells of each reuse: from now on the allocation that begins at
// `pointer` counts as `bytes` long and uninitialised. Does nothing for other pointers.
void reuse(void* pointer, size_t bytes);

}  // namespace emulator
