// See available.h.
#include "available.h"

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cstdlib>

namespace cuda {
namespace {

constexpr int kOldestCapability = 80;

// 13000 -> "13.0"
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

bool driver_found() {
#ifdef CAPTIONEER_EMULATED
  return true;
#else
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver) dlclose(driver);
  return driver != nullptr;
#endif
}

}  // namespace

int chosen_device() {
  const char* index = std::getenv("CAPTIONEER_GPU");
  return index ? std::atoi(index) : 0;
}

std::string unavailable_reason() {
  const std::string instead = " Use device \"cpu\", or install driver 580 or newer";
  if (!driver_found()) return "no NVIDIA driver (libcuda.so.1 not found)." + instead;
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver / 1000 < runtime / 1000)
    return "the NVIDIA driver is made for CUDA " + version_text(driver) + ", this build for CUDA " +
           version_text(runtime) + "." + instead;
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    const std::string why =
        status == cudaSuccess ? "no GPU is visible" : cudaGetErrorString(status);
    return "the NVIDIA driver finds no GPU (" + why +
           "). Check CUDA_VISIBLE_DEVICES and nvidia-smi, or use device \"cpu\"";
  }
  const int device = chosen_device();
  if (device < 0 || device >= count)
    return "CAPTIONEER_GPU asks for GPU " + std::to_string(device) + "; there are " +
           std::to_string(count) + ", counted from 0";
  cudaDeviceProp facts;
  if (cudaGetDeviceProperties(&facts, device) != cudaSuccess)
    return "GPU " + std::to_string(device) + " does not answer. Check nvidia-smi";
  if (facts.major * 10 + facts.minor < kOldestCapability)
    return std::string(facts.name) + " is sm_" + std::to_string(facts.major) +
           std::to_string(facts.minor) + "; kernels were built for sm_80 and newer";
  return "";
}

}  // namespace cuda
