// Streams, and what a capturing stream records.
#pragma once
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "emulator/runtime_api.h"

namespace emulator {

using Work = std::function<cudaError_t()>;
using Recording = std::shared_ptr<std::vector<Work>>;

// Does the work now, or records it when the stream captures.
cudaError_t enqueue(cudaStream_t stream, Work work);

// For calls that are not allowed while a capture is under way (allocating, waiting): the error, and
// the capture is spoilt. `stream`: the call concerns that stream alone.
cudaError_t refuse_in_capture();
cudaError_t refuse_in_capture(cudaStream_t stream);

}  // namespace emulator

struct CUstream_st {
  emulator::Recording recording;  // null: not capturing
  bool origin = false;            // the capture began here, not through an event
  bool spoilt = false;
  cudaStreamCaptureMode mode{};
  std::thread::id thread;
};

struct CUgraph_st {
  emulator::Recording recording;
};
struct CUgraphExec_st {
  emulator::Recording recording;
};
