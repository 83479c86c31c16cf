// Device and pinned memory, copies and fills.
#include <cstdlib>
#include <cstring>

#include "emulator/settings.h"
#include "errors.h"
#include "machine/device_memory.h"
#include "stream.h"

namespace {

using emulator::note;

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (!bytes) return cudaSuccess;
  if (!to || !from) return cudaErrorInvalidValue;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if ((to_device && !emulator::is_device_range(to, bytes)) ||
      (from_device && !emulator::is_device_range(from, bytes)))
    return cudaErrorInvalidValue;
  std::memcpy(to, from, bytes);
  emulator::mark_written(to, from, bytes);
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  if (const auto error = emulator::refuse_in_capture()) return note(error);
  *pointer = nullptr;
  if (!bytes) return cudaSuccess;
  *pointer = emulator::allocate(bytes);
  return note(*pointer ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void* pointer) {
  if (const auto error = emulator::refuse_in_capture()) return note(error);
  if (!pointer) return cudaSuccess;
  return note(emulator::release_memory(pointer) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes, unsigned) {
  if (const auto error = emulator::refuse_in_capture()) return note(error);
  *pointer = std::malloc(bytes ? bytes : 1);
  return note(*pointer ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return cudaMallocHost(pointer, bytes, flags);
}

cudaError_t cudaFreeHost(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return emulator::enqueue(stream, [=] { return copy(to, from, bytes, kind); });
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return emulator::enqueue(stream, [=] {
    if (width > to_pitch || width > from_pitch) return cudaErrorInvalidValue;
    for (size_t row = 0; row < height; row++)
      if (const auto error = copy(static_cast<char*>(to) + row * to_pitch,
                                  static_cast<const char*>(from) + row * from_pitch, width, kind))
        return error;
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return emulator::enqueue(stream, [=] {
    if (!bytes) return cudaSuccess;
    if (!emulator::is_device_range(to, bytes)) return cudaErrorInvalidValue;
    std::memset(to, value, bytes);
    emulator::mark_written(to, nullptr, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *total = emulator::settings().memory;
  const size_t used = emulator::memory_in_use();
  *available = used < *total ? *total - used : 0;
  return cudaSuccess;
}
