// See gpu.h.
#include "gpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "check.h"
#ifndef CAPTIONEER_EMULATED
#include <nvtx3/nvToolsExt.h>
#endif

namespace cuda {

void GpuStream::open(int device) {
  check(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "creating a stream");
  int major, minor;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "device facts");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "device facts");
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device),
        "device facts");
  capability_ = major * 10 + minor;
  const char* wait = std::getenv("CAPTIONEER_SYNC");
  synchronous_ = wait && std::strcmp(wait, "1") == 0;
}

GpuStream::~GpuStream() {
  if (handle_) cudaStreamDestroy(handle_);
  for (void* block : scratch_blocks_) cudaFree(block);
}

void GpuStream::begin_kernel([[maybe_unused]] const char* name) {
  scratch_used_ = 0;
#ifndef CAPTIONEER_EMULATED
  nvtxRangePushA(name);
#endif
}

void GpuStream::end_kernel() {
#ifndef CAPTIONEER_EMULATED
  nvtxRangePop();
#endif
}

void* GpuStream::scratch(size_t bytes) {
  const size_t rounded = (bytes + 255) / 256 * 256;
  if (scratch_blocks_.empty() || scratch_used_ + rounded > scratch_bytes_) {
    const size_t size = std::max({2 * scratch_bytes_, rounded, size_t{8} << 20});
    void* block = nullptr;
    check(cudaMalloc(&block, size), "scratch memory");
    scratch_blocks_.push_back(block);
    scratch_bytes_ = size;
    scratch_used_ = 0;
  }
  void* data = static_cast<char*>(scratch_blocks_.back()) + scratch_used_;
  scratch_used_ += rounded;
  return data;
}

void GpuStream::allow_shared(const void* kernel, size_t bytes) {
  size_t& allowed = shared_[kernel];
  if (bytes <= allowed) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)),
        "asking for shared memory");
  allowed = bytes;
}

}  // namespace cuda
