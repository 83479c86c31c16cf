// Tells somebody when the GPU has come to a point of its stream, on a thread of its own, so that
// the thread that launches kernels never waits.
#pragma once
#include <cuda_runtime.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cuda {

class Completions {
 public:
  explicit Completions(int device);
  ~Completions();  // after everything that was asked for has been told
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  // Calls `then` with the outcome of all work that is on `stream` now.
  void after(cudaStream_t stream, std::function<void(cudaError_t)> then);

 private:
  struct Waiting {
    cudaEvent_t event;
    std::function<void(cudaError_t)> then;
  };
  void loop(int device);

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Waiting> waiting_;
  std::vector<cudaEvent_t> unused_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cuda
