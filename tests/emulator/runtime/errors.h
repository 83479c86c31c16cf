// The last error of the runtime API, and its prohibitions while a stream captures.
#pragma once
#include "emulator/runtime_api.h"

namespace emulator {

// Remembers an error for cudaGetLastError and returns it.
cudaError_t note(cudaError_t error);

}  // namespace emulator
