// See check.h.
#include "check.h"

#include <string>

#include "../../binding/errors.h"

namespace cuda {
namespace {

// After these nothing on the context works any more: CUDA Runtime API, "Error Handling".
bool loses_context(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorAssert:
    case cudaErrorLaunchTimeout:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

}  // namespace

void check(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that does not stick is over with this
  const std::string text =
      "CUDA error " + std::to_string(status) + " (" + cudaGetErrorString(status) + ") in " + doing;
  if (status == cudaErrorMemoryAllocation)
    throw OutOfMemoryError("out of GPU memory in " + std::string(doing) +
                           ". Use a smaller batch size");
  if (loses_context(status))
    throw DeviceError(text +
                      ". It may stem from an earlier launch: set CAPTIONEER_SYNC=1 to find which. "
                      "The GPU context is lost; restart the process");
  throw DeviceError(text);
}

}  // namespace cuda
