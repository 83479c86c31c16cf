// What a backend offers besides kernels. The CPU's is cpu/device.cpp; a GPU's adds its own beside
// its kernels.
#pragma once
#include <cstddef>
#include <exception>
#include <functional>
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
  // Around each kernel: scratch memory handed out earlier may be used anew, and profilers see a
  // range of that name.
  virtual void begin_kernel(const char*) {}
  virtual void end_kernel() {}
};

class KernelRange {
 public:
  KernelRange(Stream& stream, const char* name) : stream_(stream) { stream.begin_kernel(name); }
  ~KernelRange() { stream_.end_kernel(); }
  KernelRange(const KernelRange&) = delete;
  KernelRange& operator=(const KernelRange&) = delete;

 private:
  Stream& stream_;
};

// Work that a device can start again as one. Used and destroyed on the device's thread.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;
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
  // What to do in order with kernels before a block gets a new owner; nothing but in the emulator,
  // which from then on reports reads of what the last owner left.
  virtual std::function<void()> reused(void*, size_t) { return {}; }
  // Gives freed blocks back to the system; only while no work is queued.
  virtual void trim() = 0;
  virtual size_t reserved_bytes() const = 0;
  virtual size_t total_bytes() const = 0;
  virtual size_t available_bytes() const = 0;
  // Waits for the work so far, so that it can be timed; not while a graph is captured. On the
  // device's thread.
  virtual void synchronize() {}
  // A copy of host data that `send` takes to the device. On the JavaScript thread.
  virtual std::shared_ptr<void> stage(const void* from, size_t bytes) = 0;
  // On the device's thread, in order with kernels.
  virtual void send(void* to, const std::shared_ptr<void>& staged, size_t bytes) = 0;
  // Copies to the host, and calls `done` on any thread when that and all work before it is over,
  // with the error of that work or null. `bytes` may be 0. On the device's thread.
  virtual void read(void* to, const void* from, size_t bytes,
                    std::function<void(std::exception_ptr)> done) = 0;
  // A graph of the kernels that `enqueue` calls, without running them. Null where the device has no
  // graphs: the kernels are then called one by one at each replay, and `enqueue` is not called
  // here. On the device's thread; lets through what `enqueue` throws.
  virtual std::unique_ptr<Graph> capture(const std::function<void()>&) { return nullptr; }
};

namespace cpu {
std::unique_ptr<Device> create_device();
}
// In builds with CAPTIONEER_CUDA.
namespace cuda {
// Throws DeviceError with the reason when there is no GPU to use.
std::unique_ptr<Device> create_device();
// Why there is none, and what to do about it; empty when there is one.
std::string unavailable_reason();
}  // namespace cuda
