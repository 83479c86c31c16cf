// The one way to start a kernel: errors are checked, shared memory beyond 48 KiB is allowed for,
// and a capturing stream records. Used by launchers in op files.
#pragma once
#include <tuple>
#include <utility>

#include "check.h"
#include "gpu.h"

namespace cuda {

// Nothing is launched for an empty grid. shared_bytes: dynamic shared memory.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            Stream& stream, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  GpuStream& on = gpu(stream);
#ifdef CAPTIONEER_EMULATED
  std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  check(emulator::launch(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes,
                         on.handle(), [=] { std::apply(kernel, values); }),
        "launch");
#else
  const auto function = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > 48 * 1024) on.allow_shared(function, shared_bytes);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = on.handle();
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), "launch");
#endif
  if (on.synchronous()) check(cudaStreamSynchronize(on.handle()), "kernel");
}

}  // namespace cuda
