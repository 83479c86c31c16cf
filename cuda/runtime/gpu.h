// What launchers know of the GPU they run on: its stream, capability and scratch memory. Opening
// and allocating is device.cpp's.
#pragma once
#include <cuda_runtime.h>

#include <unordered_map>
#include <vector>

#include "../../binding/device.h"

namespace cuda {

class GpuStream final : public Stream {
 public:
  GpuStream() = default;
  ~GpuStream() override;
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;

  // On the thread that will launch, once the device is current.
  void open(int device);

  cudaStream_t handle() const { return handle_; }
  // 80 for compute capability 8.0.
  int capability() const { return capability_; }
  bool hopper() const { return capability_ == 90; }
  int multiprocessors() const { return multiprocessors_; }
  // Whether every launch is waited for, so that an error names its own kernel (CAPTIONEER_SYNC=1).
  bool synchronous() const { return synchronous_; }

  // 256-byte aligned, uninitialised; lasts until the work of the command that asked is done. Unlike
  // on the CPU a command may ask several times. Memory that was outgrown stays: a captured graph
  // may still use it.
  void* scratch(size_t bytes) override;
  // Nsight shows the range's name above the kernels that an op launches.
  void begin_kernel(const char* name) override;
  void end_kernel() override;
  // Lets `kernel` use that much dynamic shared memory.
  void allow_shared(const void* kernel, size_t bytes);

 private:
  cudaStream_t handle_ = nullptr;
  int capability_ = 0;
  int multiprocessors_ = 0;
  bool synchronous_ = false;
  std::vector<void*> scratch_blocks_;  // the newest one is in use
  size_t scratch_bytes_ = 0;
  size_t scratch_used_ = 0;
  std::unordered_map<const void*, size_t> shared_;
};

// Every stream that a kernel of namespace cuda is given is one of these.
inline GpuStream& gpu(Stream& stream) { return static_cast<GpuStream&>(stream); }

}  // namespace cuda
