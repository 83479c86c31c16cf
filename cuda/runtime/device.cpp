// A GPU as a device: memory from cudaMalloc, kept for reuse by size; kernels, copies and graphs on
// one stream, in order.
#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "../../binding/errors.h"
#include "available.h"
#include "check.h"
#include "completions.h"
#include "gpu.h"
#include "staging.h"

namespace cuda {
namespace {

// cudaMalloc's own alignment; TMA needs 16 bytes, full memory lines 128.
constexpr size_t kAlignment = 256;

// Sizes are rounded up to eight steps per power of two, so that a freed block fits the next request
// of about its size.
size_t rounded(size_t bytes) {
  size_t step = kAlignment;
  while (step * 16 <= bytes) step *= 2;
  return std::max<size_t>(kAlignment, (bytes + step - 1) / step * step);
}

class GpuGraph final : public Graph {
 public:
  GpuGraph(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    check(cudaGraphInstantiate(&executable_, graph, 0), "making a graph");
  }
  ~GpuGraph() override { cudaGraphExecDestroy(executable_); }
  void launch() override { check(cudaGraphLaunch(executable_, stream_), "launching a graph"); }

 private:
  cudaGraphExec_t executable_ = nullptr;
  cudaStream_t stream_;
};

class GpuDevice final : public Device {
 public:
  explicit GpuDevice(int index) : index_(index), completions_(index) {
    check(cudaSetDevice(index), "choosing the GPU");
    check(cudaGetDeviceProperties(&facts_, index), "device facts");
  }
  ~GpuDevice() override { trim(); }

  const char* name() const override { return "cuda"; }
  std::string description() const override {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    return std::string(facts_.name) + " (sm_" + std::to_string(facts_.major) +
           std::to_string(facts_.minor) + ", " + std::to_string(facts_.multiProcessorCount) +
           " multiprocessors, CUDA " + std::to_string(driver / 1000) + "." +
           std::to_string(driver % 1000 / 10) + ")";
  }
  void start() override {
    check(cudaSetDevice(index_), "choosing the GPU");
    stream_.open(index_);
  }
  Stream& stream() override { return stream_; }

  void* allocate(size_t bytes) override {
    const size_t size = rounded(bytes);
    auto& blocks = unused_[size];
    if (!blocks.empty()) {
      void* data = blocks.back();
      blocks.pop_back();
      return data;
    }
    void* data = nullptr;
    const cudaError_t status = cudaMalloc(&data, size);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    check(status, "allocating memory");
    reserved_ += size;
    return data;
  }

  void free(void* data, size_t bytes) override {
    if (data) unused_[rounded(bytes)].push_back(data);
  }

#ifdef CAPTIONEER_EMULATED
  std::function<void()> reused(void* data, size_t bytes) override {
    return [=] { emulator::reuse(data, bytes); };
  }
#endif

  void trim() override {
    for (auto& [size, blocks] : unused_) {
      for (void* data : blocks) cudaFree(data);  // waits for the work that uses it
      reserved_ -= size * blocks.size();
      blocks.clear();
    }
  }

  size_t reserved_bytes() const override { return reserved_; }
  size_t total_bytes() const override { return facts_.totalGlobalMem; }
  size_t available_bytes() const override {
    size_t unused = 0;
    size_t total = 0;
    cudaMemGetInfo(&unused, &total);
    return unused;
  }

  void synchronize() override {
    if (!capturing_) check(cudaStreamSynchronize(stream_.handle()), "waiting for the GPU");
  }

  std::shared_ptr<void> stage(const void* from, size_t bytes) override {
    auto block = staging_.take(bytes);
    std::memcpy(block->host, from, bytes);
    return block;
  }
  void send(void* to, const std::shared_ptr<void>& staged, size_t bytes) override {
    staging_.send(to, std::static_pointer_cast<Staging::Block>(staged), bytes, stream_.handle());
  }

  // Through pinned memory, so that the copy does not hold up the thread that launches.
  void read(void* to, const void* from, size_t bytes,
            std::function<void(std::exception_ptr)> done) override {
    auto block = staging_.take(bytes);
    if (bytes > 0)
      check(cudaMemcpyAsync(block->host, from, bytes, cudaMemcpyDeviceToHost, stream_.handle()),
            "copying from the GPU");
    completions_.after(stream_.handle(), [=, this](cudaError_t status) {
      std::exception_ptr error;
      try {
        check(status, "the work before a read");
        if (bytes > 0) std::memcpy(to, block->host, bytes);
      } catch (const Error&) {
        error = std::current_exception();
      }
      staging_.release(block);
      done(error);
    });
  }

  std::unique_ptr<Graph> capture(const std::function<void()>& enqueue) override {
    // Each launch is to be waited for, which a capture forbids: replays call the kernels one by
    // one.
    if (stream_.synchronous()) return nullptr;
    // Relaxed: a kernel's first launch may allocate scratch memory.
    check(cudaStreamBeginCapture(stream_.handle(), cudaStreamCaptureModeRelaxed), "capture");
    cudaGraph_t graph = nullptr;
    capturing_ = true;
    try {
      enqueue();
      capturing_ = false;
    } catch (...) {
      capturing_ = false;
      cudaStreamEndCapture(stream_.handle(), &graph);
      if (graph) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream_.handle(), &graph), "capture");
    const std::unique_ptr<CUgraph_st, decltype(&cudaGraphDestroy)> owned(graph, cudaGraphDestroy);
    return std::make_unique<GpuGraph>(graph, stream_.handle());
  }

 private:
  int index_;
  cudaDeviceProp facts_{};
  GpuStream stream_;
  Staging staging_;
  Completions completions_;  // told before the rest goes
  std::unordered_map<size_t, std::vector<void*>> unused_;
  size_t reserved_ = 0;
  bool capturing_ = false;
};

}  // namespace

std::unique_ptr<Device> create_device() {
  const std::string reason = unavailable_reason();
  if (!reason.empty()) throw DeviceError("device \"cuda\" is unavailable: " + reason);
  return std::make_unique<GpuDevice>(chosen_device());
}

}  // namespace cuda
