// What a backend offers besides kernels. The CPU's is cpu/device.cpp; a GPU's adds its own beside
// its kernels.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

// Handed to every kernel: where it runs, and scratch memory that lasts until the kernel's work is
// done.
class Stream {
 public:
  virtual ~Stream() = default;
  // At least `bytes` bytes, 64-byte aligned, uninitialised. A second call in one kernel invalidates
  // the first.
  virtual void* scratch(size_t bytes) = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const char* name() const = 0;
  virtual std::string description() const = 0;
  // Called once, on the thread that will run all work, before any.
  virtual void start() = 0;
  virtual Stream& stream() = 0;
  // Memory, 64-byte aligned; null when there is none left. Called on the JavaScript thread; blocks
  // that were freed may be handed out again at once, because all work on them runs in order on the
  // one stream.
  virtual void* allocate(size_t bytes) = 0;
  virtual void free(void* data, size_t bytes) = 0;
  // Gives freed blocks back to the system; only while no work is queued.
  virtual void trim() = 0;
  virtual size_t reserved_bytes() const = 0;
  virtual size_t total_bytes() const = 0;
  virtual size_t available_bytes() const = 0;
  // Called on the device's thread, in order with kernels.
  virtual void copy_from_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, size_t bytes) = 0;
  virtual void synchronize() = 0;
};

namespace cpu {
std::unique_ptr<Device> create_device();
}
