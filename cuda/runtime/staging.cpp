// See staging.h.
#include "staging.h"

#include "check.h"

namespace cuda {

Staging::Block::~Block() {
  if (uploaded) cudaEventDestroy(uploaded);
  if (done) cudaEventDestroy(done);
  if (device) cudaFree(device);
  if (host) cudaFreeHost(host);
}

Staging::~Staging() {
  if (aside_) cudaStreamDestroy(aside_);
}

std::shared_ptr<Staging::Block> Staging::take(size_t bytes) {
  std::lock_guard lock(mutex_);
  for (auto& block : blocks_) {
    const bool fits = block->bytes >= bytes && block->bytes <= 2 * bytes + 4096;
    if (block->taken || !fits || cudaEventQuery(block->done) != cudaSuccess) continue;
    block->taken = true;
    return block;
  }
  auto block = std::make_shared<Block>();
  block->bytes = (bytes + 4095) / 4096 * 4096;
  check(cudaMallocHost(&block->host, block->bytes), "pinned memory");
  check(cudaEventCreateWithFlags(&block->uploaded, cudaEventDisableTiming), "an event");
  check(cudaEventCreateWithFlags(&block->done, cudaEventDisableTiming), "an event");
  block->taken = true;
  blocks_.push_back(block);
  return block;
}

void Staging::release(const std::shared_ptr<Block>& block) {
  std::lock_guard lock(mutex_);
  block->taken = false;
}

void Staging::send(void* to, const std::shared_ptr<Block>& block, size_t bytes,
                   cudaStream_t stream) {
  const void* source = block->host;
  if (bytes > kAside) {
    if (!aside_)
      check(cudaStreamCreateWithFlags(&aside_, cudaStreamNonBlocking), "creating a stream");
    if (!block->device) check(cudaMalloc(&block->device, block->bytes), "staging memory");
    check(cudaMemcpyAsync(block->device, block->host, bytes, cudaMemcpyHostToDevice, aside_),
          "copying to the GPU");
    check(cudaEventRecord(block->uploaded, aside_), "copying to the GPU");
    check(cudaStreamWaitEvent(stream, block->uploaded, 0), "copying to the GPU");
    source = block->device;
  }
  check(cudaMemcpyAsync(to, source, bytes, cudaMemcpyDefault, stream), "copying to the GPU");
  check(cudaEventRecord(block->done, stream), "copying to the GPU");
  release(block);
}

}  // namespace cuda
