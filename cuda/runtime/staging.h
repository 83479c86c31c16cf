// Pinned host memory for what travels to and from the GPU, kept for reuse. Large data goes to the
// GPU on a stream of its own, so that it travels while kernels run.
#pragma once
#include <cuda_runtime.h>

#include <memory>
#include <mutex>
#include <vector>

namespace cuda {

class Staging {
 public:
  Staging() = default;
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  struct Block {
    size_t bytes = 0;
    void* host = nullptr;
    void* device = nullptr;  // only of blocks that were sent aside
    cudaEvent_t uploaded = nullptr;
    cudaEvent_t done = nullptr;
    bool taken = false;
    ~Block();
  };

  // A block of at least that size, the caller's until `release` or `send`. Any thread.
  std::shared_ptr<Block> take(size_t bytes);
  void release(const std::shared_ptr<Block>& block);
  // Queues the copy of the block's first bytes to `to` on `stream`, and releases the block once it
  // was made.
  void send(void* to, const std::shared_ptr<Block>& block, size_t bytes, cudaStream_t stream);

 private:
  // From here on a copy goes through its own stream and device memory of its own: below, the events
  // cost more than the copy.
  static constexpr size_t kAside = 64 * 1024;

  std::mutex mutex_;
  std::vector<std::shared_ptr<Block>> blocks_;
  cudaStream_t aside_ = nullptr;
};

}  // namespace cuda
