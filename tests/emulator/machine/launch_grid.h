// What the runtime API needs of the machine: to run a grid now.
#pragma once
#include <functional>

#include "emulator/launch.h"

namespace emulator {

// Dynamic shared memory that one block can have.
size_t most_shared_bytes();

cudaError_t run_grid(const void* kernel, dim3 grid, dim3 block, size_t dynamic_shared_bytes,
                     bool cooperative, const std::function<void()>& body);

}  // namespace emulator
