// Everything JavaScript can call: the list of kernels, then memory, copies and facts of a device.
#include <cstring>

#include "bind.h"

namespace cpu {
#include "kernels.h"
}
#ifdef CAPTIONEER_CUDA
namespace cuda {
#include "kernels.h"
}
#endif

namespace {

// One line a kernel. A backend without a kernel does not load.
#define FOR_EACH_KERNEL(KERNEL)           \
  KERNEL(fill)                            \
  KERNEL(copy)                            \
  KERNEL(add)                             \
  KERNEL(accumulate)                      \
  KERNEL(multiply)                        \
  KERNEL(normalize_image)                 \
  KERNEL(convolution)                     \
  KERNEL(convolution_backward)            \
  KERNEL(convolution_batch_norm)          \
  KERNEL(convolution_batch_norm_backward) \
  KERNEL(fold_batch_norm)                 \
  KERNEL(max_pool)                        \
  KERNEL(max_pool_backward)               \
  KERNEL(average_pool)                    \
  KERNEL(average_pool_backward)           \
  KERNEL(linear)                          \
  KERNEL(linear_backward)                 \
  KERNEL(layer_norm)                      \
  KERNEL(layer_norm_backward)             \
  KERNEL(rms_norm)                        \
  KERNEL(rms_norm_backward)               \
  KERNEL(embedding)                       \
  KERNEL(embedding_backward)              \
  KERNEL(dropout)                         \
  KERNEL(attention)                       \
  KERNEL(attention_backward)              \
  KERNEL(attend_cache)                    \
  KERNEL(linear_cross_entropy)            \
  KERNEL(gradient_norm)                   \
  KERNEL(advance_step)                    \
  KERNEL(adamw)                           \
  KERNEL(beam_step)

// layer_norm -> layerNorm
std::string camel_case(const char* name) {
  std::string out;
  for (const char* c = name; *c; c++) {
    if (*c == '_' && c[1]) {
      out += static_cast<char>(std::toupper(*++c));
    } else {
      out += *c;
    }
  }
  return out;
}

Tensor tensor_from(const Napi::CallbackInfo& info, size_t shape, size_t dtype) {
  const auto sizes = info[shape].As<Napi::Array>();
  if (sizes.Length() > kMaxRank)
    throw InternalError("a tensor has at most " + std::to_string(kMaxRank) + " axes");
  Tensor tensor;
  tensor.rank = static_cast<int>(sizes.Length());
  for (int i = 0; i < tensor.rank; i++)
    tensor.shape[i] = sizes.Get(i).As<Napi::Number>().Int32Value();
  tensor.dtype = static_cast<Dtype>(info[dtype].As<Napi::Number>().Int32Value());
  tensor.row_stride = tensor.columns();
  return tensor;
}

uint32_t number(const Napi::CallbackInfo& info, size_t i) {
  return info[i].As<Napi::Number>().Uint32Value();
}

Session& session_of(const Napi::CallbackInfo& info) { return *static_cast<Session*>(info.Data()); }

// Runs `make`, once more after all freed blocks went back to the system when it gives null.
template <class Make>
std::shared_ptr<Storage> storage_of(Session& session, Make make) {
  std::shared_ptr<Storage> storage = make();
  if (storage->data) return storage;
  session.queue->wait_until_idle();
  session.device->trim();
  return make();
}

std::shared_ptr<Storage> own_storage(Session& session, const Tensor& tensor) {
  const auto bytes = static_cast<size_t>(tensor.bytes());
  auto storage = storage_of(session, [&] {
    return std::make_shared<Storage>(session.device.get(), &session.use, bytes);
  });
  if (auto reused = session.device->reused(storage->data, bytes); reused && storage->data)
    session.queue->push({"reuse", std::move(reused), false, false});
  return storage;
}

uint32_t handle_of(Session& session, const Tensor& tensor, std::shared_ptr<Storage> storage) {
  return storage->data ? session.tensors.create(tensor, std::move(storage)) : 0;
}

// allocate(shape, dtype) -> handle, 0 when there is no memory left
Napi::Value allocate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    const Tensor tensor = tensor_from(info, 0, 1);
    auto storage =
        session.capturing
            ? storage_of(session, [&] { return session.capturing->allocate(tensor.bytes()); })
            : own_storage(session, tensor);
    return Napi::Number::New(info.Env(), handle_of(session, tensor, std::move(storage)));
  });
}

void queue_write(Session& session, const Tensor& tensor, const Napi::TypedArray& source) {
  if (static_cast<int64_t>(source.ByteLength()) != tensor.bytes())
    throw InternalError("write: " + std::to_string(source.ByteLength()) + " bytes into " +
                        std::to_string(tensor.bytes()));
  const auto* bytes =
      static_cast<const uint8_t*>(source.ArrayBuffer().Data()) + source.ByteOffset();
  Device* device = session.device.get();
  session.queue->push(
      {"write", [staged = device->stage(bytes, source.ByteLength()), tensor, device] {
         device->send(tensor.data, staged, static_cast<size_t>(tensor.bytes()));
       }});
}

// upload(shape, dtype, typedArray) -> handle of a tensor with these elements, 0 when there is no
// memory left. In a recording it is a constant: written now, once, into memory of its own.
Napi::Value upload(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    const Tensor tensor = tensor_from(info, 0, 1);
    auto storage = own_storage(session, tensor);
    if (session.capturing && storage->data) session.capturing->keep(storage);
    const uint32_t handle = handle_of(session, tensor, std::move(storage));
    if (handle != 0)
      queue_write(session, session.tensors.get(handle), info[2].As<Napi::TypedArray>());
    return Napi::Number::New(info.Env(), handle);
  });
}

// view(handle, shape, dtype, offset, rowStride) -> handle
Napi::Value view(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Tensor tensor = tensor_from(info, 1, 2);
    tensor.row_stride = info[4].As<Napi::Number>().Int64Value();
    return Napi::Number::New(
        info.Env(), session_of(info).tensors.view(number(info, 0), tensor,
                                                  info[3].As<Napi::Number>().Int64Value()));
  });
}

Napi::Value free_tensor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    session_of(info).tensors.free(number(info, 0));
    return info.Env().Undefined();
  });
}

// Refuses what cannot be in a graph, also at the end of the recording: a rejected promise inside of
// it would be noticed too late.
void refuse_in_recording(Session& session, const std::string& message) {
  if (!session.capturing) return;
  session.capturing->refused = message;
  throw ArgumentError(message);
}

// write(handle, typedArray): copies now, so the caller may change the array afterwards
Napi::Value write(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    refuse_in_recording(session,
                        "capture: a tensor was written from the host inside the step, which is "
                        "recorded once. Make the tensor outside and write it before the replay");
    queue_write(session, session.tensors.get(number(info, 0)), info[1].As<Napi::TypedArray>());
    return info.Env().Undefined();
  });
}

// A reply from the device's thread to JavaScript: bytes read, or the first error of the work before
// it.
struct Reply {
  Napi::Promise::Deferred deferred;
  std::vector<uint8_t> bytes;
  std::exception_ptr error;
};

void settle(Napi::Env env, Reply& reply) {
  Napi::HandleScope scope(env);
  if (!reply.error) {
    auto buffer = Napi::ArrayBuffer::New(env, reply.bytes.size());
    if (!reply.bytes.empty()) std::memcpy(buffer.Data(), reply.bytes.data(), reply.bytes.size());
    reply.deferred.Resolve(buffer);
    return;
  }
  try {
    std::rethrow_exception(reply.error);
  } catch (const Error& error) {
    reply.deferred.Reject(to_js_error(env, error.code(), error.what()).Value());
  } catch (const std::exception& error) {
    reply.deferred.Reject(to_js_error(env, "ERR_INTERNAL", error.what()).Value());
  }
}

// read(handle) -> Promise<ArrayBuffer>; handle 0 reads nothing and only waits for the work before
// it
Napi::Value read(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    refuse_in_recording(session,
                        "capture: a tensor was read, or the device waited for, inside the step, "
                        "where nothing has run yet. Return the tensor and read it after a replay");
    const Tensor tensor = session.tensors.get(number(info, 0));
    auto reply = std::make_shared<Reply>(Reply{Napi::Promise::Deferred::New(info.Env()), {}, {}});
    // One thread-safe function a reply keeps the process alive exactly until the reply has arrived.
    auto deliver = Napi::ThreadSafeFunction::New(
        info.Env(), Napi::Function::New(info.Env(), [](const Napi::CallbackInfo&) {}), "captioneer",
        0, 1);
    const auto finish = [reply, deliver](std::exception_ptr error) {
      reply->error = error;
      deliver.BlockingCall([reply](Napi::Env env, Napi::Function) {
        if (env != nullptr) settle(env, *reply);
      });
      Napi::ThreadSafeFunction(deliver).Release();
    };
    session.queue->push(
        {"read",
         [reply, tensor, finish, device = session.device.get(), queue = session.queue.get()] {
           if (const auto error = queue->take_error()) return finish(error);
           try {
             reply->bytes.resize(tensor ? static_cast<size_t>(tensor.bytes()) : 0);
             device->read(reply->bytes.data(), tensor.data, reply->bytes.size(), finish);
           } catch (const std::exception&) {
             finish(std::current_exception());
           }
         },
         true});
    return reply->deferred.Promise();
  });
}

// memory() -> { liveTensors, liveBytes, peakBytes, reservedBytes, totalBytes, availableBytes }
Napi::Value memory(const Napi::CallbackInfo& info) {
  const Session& session = session_of(info);
  auto facts = Napi::Object::New(info.Env());
  facts["liveTensors"] = static_cast<double>(session.tensors.live_tensors());
  facts["liveBytes"] = static_cast<double>(session.use.live);
  facts["peakBytes"] = static_cast<double>(session.use.peak);
  facts["reservedBytes"] = static_cast<double>(session.device->reserved_bytes());
  facts["totalBytes"] = static_cast<double>(session.device->total_bytes());
  facts["availableBytes"] = static_cast<double>(session.device->available_bytes());
  return facts;
}

Napi::Value reset_peak(const Napi::CallbackInfo& info) {
  MemoryUse& use = session_of(info).use;
  use.peak = use.live;
  return info.Env().Undefined();
}

Napi::Value set_profiling(const Napi::CallbackInfo& info) {
  session_of(info).queue->set_profiling(info[0].ToBoolean().Value());
  return info.Env().Undefined();
}

// timings() -> { [kernel]: [count, milliseconds] } since profiling was switched on
Napi::Value timings(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  for (const auto& [name, timing] : session_of(info).queue->timings()) {
    auto pair = Napi::Array::New(info.Env(), 2);
    pair.Set(0u, static_cast<double>(timing.count));
    pair.Set(1u, static_cast<double>(timing.nanoseconds) * 1e-6);
    result[name] = pair;
  }
  return result;
}

Capture& capture_of(Session& session, uint32_t graph) {
  const auto found = session.captures.find(graph);
  if (found == session.captures.end()) throw DisposedError("capture: this graph was disposed");
  return found->second;
}

// beginCapture(graph): from now on kernels are recorded instead of run. The recording shares the
// memory of `graph`; 0: none.
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

// endCapture() -> graph. Nothing has run yet.
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

// abortCapture(): forgets the recording
Napi::Value abort_capture(const Napi::CallbackInfo& info) {
  session_of(info).capturing.reset();
  return info.Env().Undefined();
}

// replay(graph). While kernels are being timed they are called one by one.
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

// freeGraph(graph). The device's thread drops what it holds after the replays before.
Napi::Value free_graph(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    auto recording = capture_of(session, number(info, 0)).recording();
    session.captures.erase(number(info, 0));
    session.queue->push({"free graph", [recording = std::move(recording)] {}, true, false});
    return info.Env().Undefined();
  });
}

// One JavaScript function a kernel.
#define KERNEL(backend, kernel)                 \
  session.bound.push_back({&session, #kernel}); \
  kernels[camel_case(#kernel)] =                \
      Napi::Function::New(env, queue_kernel<&backend::kernel>, #kernel, &session.bound.back());

Napi::Object cpu_kernels(Napi::Env env, Session& session) {
  auto kernels = Napi::Object::New(env);
#define CPU_KERNEL(kernel) KERNEL(cpu, kernel)
  FOR_EACH_KERNEL(CPU_KERNEL)
  return kernels;
}

Napi::Object gpu_kernels(Napi::Env env, [[maybe_unused]] Session& session) {
  auto kernels = Napi::Object::New(env);
#ifdef CAPTIONEER_CUDA
#define CUDA_KERNEL(kernel) KERNEL(cuda, kernel)
  FOR_EACH_KERNEL(CUDA_KERNEL)
#endif
  return kernels;
}

std::string why_no_gpu() {
#ifdef CAPTIONEER_CUDA
  return cuda::unavailable_reason();
#else
  return "this build has no GPU kernels. Rebuild with: npm run build -- --gpu";
#endif
}

std::unique_ptr<Device> create_device(const std::string& name) {
  if (name == "cpu") return cpu::create_device();
#ifdef CAPTIONEER_CUDA
  return cuda::create_device();
#else
  throw DeviceError("device \"" + name + "\" is unavailable: " + why_no_gpu());
#endif
}

// open(name) -> the device: its facts, its functions and, under `kernels`, its kernels
Napi::Value open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const std::string name = info[0].As<Napi::String>();
    auto* session = new Session(create_device(name));
    auto device = Napi::Object::New(env);
    device["name"] = session->device->name();
    device["description"] = session->device->description();
    device["session"] = Napi::External<Session>::New(
        env, session, [](Napi::Env, Session* opened) { delete opened; });
    const auto method = [&](const char* key, Napi::Value (*function)(const Napi::CallbackInfo&)) {
      device[key] = Napi::Function::New(env, function, key, session);
    };
    method("allocate", allocate);
    method("upload", upload);
    method("view", view);
    method("free", free_tensor);
    method("write", write);
    method("read", read);
    method("memory", memory);
    method("resetPeak", reset_peak);
    method("setProfiling", set_profiling);
    method("timings", timings);
    method("beginCapture", begin_capture);
    method("endCapture", end_capture);
    method("abortCapture", abort_capture);
    method("replay", replay);
    method("freeGraph", free_graph);
    device["kernels"] = name == "cpu" ? cpu_kernels(env, *session) : gpu_kernels(env, *session);
    return device;
  });
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Instance());
  exports["open"] = Napi::Function::New(env, open, "open");
  exports["setErrorFactory"] = Napi::Function::New(
      env,
      [](const Napi::CallbackInfo& info) {
        info.Env().GetInstanceData<Instance>()->make_error =
            Napi::Persistent(info[0].As<Napi::Function>());
      },
      "setErrorFactory");
  // devices() -> those that can be opened, the fastest first
  exports["devices"] = Napi::Function::New(
      env,
      [](const Napi::CallbackInfo& info) {
        auto names = Napi::Array::New(info.Env());
        if (why_no_gpu().empty()) names.Set(names.Length(), "cuda");
        names.Set(names.Length(), "cpu");
        return names;
      },
      "devices");
  // whyNoGpu() -> the reason, "" when there is one
  exports["whyNoGpu"] = Napi::Function::New(
      env,
      [](const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), why_no_gpu()); },
      "whyNoGpu");
  return exports;
}

}  // namespace

NODE_API_MODULE(captioneer, initialize)
