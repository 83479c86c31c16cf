// The functions of an opened device that JavaScript calls besides kernels. addon.cpp puts them on
// the device's object; what they do is in tensors.cpp and captures.cpp.
#pragma once
#include "bind.h"

// --- tensors.cpp
// allocate(shape, dtype) -> handle, 0 when there is no memory left
Napi::Value allocate(const Napi::CallbackInfo& info);
// upload(shape, dtype, typedArray) -> handle of a tensor with these elements, 0 when there is no
// memory left. In a recording it is a constant: written now, once, into memory of its own.
Napi::Value upload(const Napi::CallbackInfo& info);
// view(handle, shape, dtype, offset, rowStride) -> handle
Napi::Value view(const Napi::CallbackInfo& info);
Napi::Value free_tensor(const Napi::CallbackInfo& info);
// write(handle, typedArray): copies now, so the caller may change the array afterwards
Napi::Value write(const Napi::CallbackInfo& info);
// read(handle) -> Promise<ArrayBuffer>; handle 0 reads nothing and only waits for the work before
// it
Napi::Value read(const Napi::CallbackInfo& info);
// memory() -> { liveTensors, liveBytes, peakBytes, reservedBytes, totalBytes, availableBytes }
Napi::Value memory(const Napi::CallbackInfo& info);
Napi::Value reset_peak(const Napi::CallbackInfo& info);

// --- captures.cpp
// beginCapture(graph): from now on kernels are recorded instead of run. The recording shares the
// memory of `graph`; 0: none.
Napi::Value begin_capture(const Napi::CallbackInfo& info);
// endCapture() -> graph. Nothing has run yet.
Napi::Value end_capture(const Napi::CallbackInfo& info);
// abortCapture(): forgets the recording
Napi::Value abort_capture(const Napi::CallbackInfo& info);
// replay(graph). While kernels are being timed they are called one by one.
Napi::Value replay(const Napi::CallbackInfo& info);
// freeGraph(graph). The device's thread drops what it holds after the replays before.
Napi::Value free_graph(const Napi::CallbackInfo& info);

// --- what several of them need
inline uint32_t number(const Napi::CallbackInfo& info, size_t i) {
  return info[i].As<Napi::Number>().Uint32Value();
}
inline Session& session_of(const Napi::CallbackInfo& info) {
  return *static_cast<Session*>(info.Data());
}
// Refuses what cannot be in a graph, also at the end of the recording: a rejected promise inside of
// it would be noticed too late.
inline void refuse_in_recording(Session& session, const std::string& message) {
  if (!session.capturing) return;
  session.capturing->refused = message;
  throw ArgumentError(message);
}
