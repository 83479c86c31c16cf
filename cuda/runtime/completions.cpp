// See completions.h.
#include "completions.h"

#include "check.h"

namespace cuda {

Completions::Completions(int device) : thread_([this, device] { loop(device); }) {}

Completions::~Completions() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_one();
  thread_.join();
  for (cudaEvent_t event : unused_) cudaEventDestroy(event);
}

void Completions::after(cudaStream_t stream, std::function<void(cudaError_t)> then) {
  cudaEvent_t event = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!unused_.empty()) {
      event = unused_.back();
      unused_.pop_back();
    }
  }
  if (!event)
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync),
          "an event");
  check(cudaEventRecord(event, stream), "an event");
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back({event, std::move(then)});
  }
  ready_.notify_one();
}

void Completions::loop(int device) {
  cudaSetDevice(device);
  while (true) {
    Waiting next;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next.then(cudaEventSynchronize(next.event));
    std::lock_guard lock(mutex_);
    unused_.push_back(next.event);
  }
}

}  // namespace cuda
