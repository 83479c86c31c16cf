// Recording kernels as a graph and replaying it. See methods.h and capture.h.
#include "methods.h"

namespace {

Capture& capture_of(Session& session, uint32_t graph) {
  const auto found = session.captures.find(graph);
  if (found == session.captures.end()) throw DisposedError("capture: this graph was disposed");
  return found->second;
}

}  // namespace

Napi::Value begin_capture(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    refuse_in_recording(session,
                        "capture: called inside a step that is being captured. Capture one step "
                        "after the other");
    const uint32_t shared = number(info, 0);
    static uint64_t recordings = 0;
    session.capturing = std::make_unique<Capture>(
        ++recordings, shared != 0 ? capture_of(session, shared).pool()
                                  : std::make_shared<Pool>(session.device.get(), &session.use));
    return info.Env().Undefined();
  });
}

Napi::Value end_capture(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    const auto ended = std::move(session.capturing);
    if (!ended) throw InternalError("endCapture: nothing is being captured");
    if (!ended->refused.empty()) throw ArgumentError(ended->refused);
    ended->end();
    session.queue->push({"capture",
                         [recording = ended->recording(), device = session.device.get(),
                          queue = session.queue.get()] {
                           recording->graph = device->capture([&] {
                             for (const Command& command : recording->commands) queue->run(command);
                           });
                         },
                         false, false});
    static uint32_t graphs = 0;
    session.captures.emplace(++graphs, std::move(*ended));
    return Napi::Number::New(info.Env(), graphs);
  });
}

Napi::Value abort_capture(const Napi::CallbackInfo& info) {
  session_of(info).capturing.reset();
  return info.Env().Undefined();
}

Napi::Value replay(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    refuse_in_recording(session,
                        "capture: a graph was replayed inside a step that is being "
                        "captured. Call the step itself instead");
    session.queue->push({"replay",
                         [recording = capture_of(session, number(info, 0)).recording(),
                          queue = session.queue.get()] {
                           if (recording->graph && !queue->profiling())
                             return recording->graph->launch();
                           for (const Command& command : recording->commands) queue->run(command);
                         },
                         false, false});
    return info.Env().Undefined();
  });
}

Napi::Value free_graph(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    auto recording = capture_of(session, number(info, 0)).recording();
    session.captures.erase(number(info, 0));
    session.queue->push({"free graph", [recording = std::move(recording)] {}, true, false});
    return info.Env().Undefined();
  });
}
