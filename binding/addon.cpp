// Everything JavaScript can call: the list of kernels, then memory, copies and facts of a device.
#include <cstring>

#include "bind.h"

namespace cpu {
#include "kernels.h"
}

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

// allocate(shape, dtype) -> handle, 0 when there is no memory left
Napi::Value allocate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    const Tensor tensor = tensor_from(info, 0, 1);
    uint32_t handle = session.tensors.create(tensor);
    if (handle == 0) {
      session.queue->wait_until_idle();
      session.device->trim();
      handle = session.tensors.create(tensor);
    }
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

// write(handle, typedArray): copies now, so the caller may change the array afterwards
Napi::Value write(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Session& session = session_of(info);
    const Tensor tensor = session.tensors.get(number(info, 0));
    const auto source = info[1].As<Napi::TypedArray>();
    if (static_cast<int64_t>(source.ByteLength()) != tensor.bytes())
      throw InternalError("write: " + std::to_string(source.ByteLength()) + " bytes into " +
                          std::to_string(tensor.bytes()));
    const auto* bytes =
        static_cast<const uint8_t*>(source.ArrayBuffer().Data()) + source.ByteOffset();
    auto staged = std::make_shared<std::vector<uint8_t>>(bytes, bytes + source.ByteLength());
    session.queue->push({"write", [staged, tensor, device = session.device.get()] {
                           device->copy_from_host(tensor.data, staged->data(), staged->size());
                         }});
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
    const Tensor tensor = session.tensors.get(number(info, 0));
    auto reply = std::make_shared<Reply>(Reply{Napi::Promise::Deferred::New(info.Env()), {}, {}});
    // One thread-safe function a reply keeps the process alive exactly until the reply has arrived.
    auto deliver = Napi::ThreadSafeFunction::New(
        info.Env(), Napi::Function::New(info.Env(), [](const Napi::CallbackInfo&) {}), "captioneer",
        0, 1);
    session.queue->push(
        {"read",
         [reply, tensor, deliver, device = session.device.get(), queue = session.queue.get()] {
           reply->error = queue->take_error();
           try {
             if (!reply->error && tensor) {
               reply->bytes.resize(static_cast<size_t>(tensor.bytes()));
               device->copy_to_host(reply->bytes.data(), tensor.data, reply->bytes.size());
             }
             device->synchronize();
           } catch (const std::exception&) {
             reply->error = std::current_exception();
           }
           deliver.BlockingCall([reply](Napi::Env env, Napi::Function) {
             if (env != nullptr) settle(env, *reply);
           });
           Napi::ThreadSafeFunction(deliver).Release();
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
  facts["liveBytes"] = static_cast<double>(session.tensors.live_bytes());
  facts["peakBytes"] = static_cast<double>(session.tensors.peak_bytes());
  facts["reservedBytes"] = static_cast<double>(session.device->reserved_bytes());
  facts["totalBytes"] = static_cast<double>(session.device->total_bytes());
  facts["availableBytes"] = static_cast<double>(session.device->available_bytes());
  return facts;
}

Napi::Value reset_peak(const Napi::CallbackInfo& info) {
  session_of(info).tensors.reset_peak();
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

// open("cpu") -> the device: its facts, its functions and, under `kernels`, its kernels
Napi::Value open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const std::string name = info[0].As<Napi::String>();
    if (name != "cpu")
      throw DeviceError("device \"" + name +
                        "\" is unavailable: this build has no GPU kernels. Rebuild with: "
                        "npm run build -- --gpu");
    auto* session = new Session(cpu::create_device());
    auto device = Napi::Object::New(env);
    device["name"] = session->device->name();
    device["description"] = session->device->description();
    device["session"] = Napi::External<Session>::New(
        env, session, [](Napi::Env, Session* opened) { delete opened; });
    const auto method = [&](const char* key, Napi::Value (*function)(const Napi::CallbackInfo&)) {
      device[key] = Napi::Function::New(env, function, key, session);
    };
    method("allocate", allocate);
    method("view", view);
    method("free", free_tensor);
    method("write", write);
    method("read", read);
    method("memory", memory);
    method("resetPeak", reset_peak);
    method("setProfiling", set_profiling);
    method("timings", timings);
    auto kernels = Napi::Object::New(env);
#define KERNEL(kernel)                          \
  session->bound.push_back({session, #kernel}); \
  kernels[camel_case(#kernel)] =                \
      Napi::Function::New(env, queue_kernel<&cpu::kernel>, #kernel, &session->bound.back());
    FOR_EACH_KERNEL(KERNEL)
#undef KERNEL
    device["kernels"] = kernels;
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
  exports["devices"] = Napi::Function::New(
      env,
      [](const Napi::CallbackInfo& info) {
        auto names = Napi::Array::New(info.Env(), 1);
        names.Set(0u, "cpu");
        return names;
      },
      "devices");
  return exports;
}

}  // namespace

NODE_API_MODULE(captioneer, initialize)
