// Tensors as JavaScript sees them: memory, views, copies from and to the host. See methods.h.
#include <cstring>

#include "methods.h"

namespace {

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

}  // namespace

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

namespace {

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

}  // namespace

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

namespace {

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

}  // namespace

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
         true, false});
    return reply->deferred.Promise();
  });
}

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
