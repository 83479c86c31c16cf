#include "stream.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>

#include "emulator/launch.h"
#include "errors.h"
#include "machine/launch_grid.h"

struct CUevent_st {
  emulator::Recording recording;  // of the capture in which it was recorded last, or null
  std::chrono::steady_clock::time_point time{};
  bool timed = true, recorded = false;
};

namespace {

using emulator::note;

std::mutex mutex;
std::set<cudaStream_t> streams;

// The captures that forbid calls of this thread.
std::vector<cudaStream_t> forbidding() {
  std::vector<cudaStream_t> found;
  for (cudaStream_t s : streams)
    if (s->recording &&
        (s->mode == cudaStreamCaptureModeGlobal ||
         (s->mode == cudaStreamCaptureModeThreadLocal && s->thread == std::this_thread::get_id())))
      found.push_back(s);
  return found;
}

void spoil(const emulator::Recording& recording) {
  for (cudaStream_t s : streams)
    if (s->recording == recording) s->spoilt = true;
}

}  // namespace

namespace emulator {

cudaError_t refuse_in_capture() {
  const std::lock_guard lock(mutex);
  const auto captures = forbidding();
  for (cudaStream_t s : captures) spoil(s->recording);
  return captures.empty() ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t refuse_in_capture(cudaStream_t stream) {
  if (!stream) return refuse_in_capture();
  const std::lock_guard lock(mutex);
  if (!stream->recording) return cudaSuccess;
  spoil(stream->recording);
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t enqueue(cudaStream_t stream, Work work) {
  if (!stream) {
    if (const auto error = refuse_in_capture()) return note(error);
    return note(work());
  }
  if (!stream->recording) return note(work());
  if (stream->spoilt) return note(cudaErrorStreamCaptureInvalidated);
  stream->recording->push_back(std::move(work));
  return cudaSuccess;
}

cudaError_t launch(const void* kernel, dim3 grid, dim3 block, size_t bytes, cudaStream_t stream,
                   std::function<void()> body) {
  return enqueue(stream, [=, body = std::move(body)] {
    return run_grid(kernel, grid, block, bytes, false, body);
  });
}

cudaError_t launch_cooperative(const void* kernel, dim3 grid, dim3 block, size_t bytes,
                               cudaStream_t stream, std::function<void()> body) {
  return enqueue(stream, [=, body = std::move(body)] {
    return run_grid(kernel, grid, block, bytes, true, body);
  });
}

}  // namespace emulator

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  const std::lock_guard lock(mutex);
  *stream = new CUstream_st;
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return cudaStreamCreate(stream);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  return cudaStreamCreate(stream);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  if (!streams.erase(stream)) return note(cudaErrorInvalidResourceHandle);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return note(emulator::refuse_in_capture(stream));
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return note(emulator::refuse_in_capture(stream));
}
cudaError_t cudaDeviceSynchronize() { return note(emulator::refuse_in_capture()); }

// A stream that waits for an event of a capturing stream joins its capture.
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (stream && event->recording && !stream->recording) {
    stream->recording = event->recording;
    stream->origin = false;
  }
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->timed = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->recording = stream ? stream->recording : nullptr;
  if (event->recording) return cudaSuccess;
  event->time = std::chrono::steady_clock::now();
  event->recorded = true;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return note(event->recording ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return note(event->recording ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->timed || !end->timed || !start->recorded || !end->recorded)
    return note(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (!stream) return note(cudaErrorStreamCaptureUnsupported);
  const std::lock_guard lock(mutex);
  if (stream->recording) return note(cudaErrorInvalidValue);
  stream->recording = std::make_shared<std::vector<emulator::Work>>();
  stream->origin = true;
  stream->spoilt = false;
  stream->mode = mode;
  stream->thread = std::this_thread::get_id();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const std::lock_guard lock(mutex);
  if (!stream || !stream->recording || !stream->origin) return note(cudaErrorInvalidValue);
  const emulator::Recording recording = stream->recording;
  const bool spoilt = stream->spoilt;
  for (cudaStream_t s : streams)
    if (s->recording == recording) {
      s->recording = nullptr;
      s->spoilt = false;
    }
  if (spoilt) return note(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{recording};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = !stream || !stream->recording ? cudaStreamCaptureStatusNone
            : stream->spoilt              ? cudaStreamCaptureStatusInvalidated
                                          : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  thread_local cudaStreamCaptureMode own = cudaStreamCaptureModeGlobal;
  std::swap(own, *mode);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new CUgraphExec_st{graph->recording};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return emulator::enqueue(stream, [recording = executable->recording] {
    for (const emulator::Work& work : *recording)
      if (const auto error = work()) return error;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, void*, size_t* count) {
  *count = graph->recording->size();
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
