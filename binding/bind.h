// From a C++ kernel signature to a Node-API function, derived once: each parameter of the kernel is
// read from the call's argument of the same position, and the call is queued. C++ errors become the
// JavaScript classes of their code.
#pragma once
#include <napi.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "capture.h"
#include "device.h"
#include "errors.h"
#include "queue.h"
#include "tensor_table.h"

struct Session;

// What a kernel's JavaScript function carries.
struct Bound {
  Session* session;
  const char* name;
};

// One opened device, as JavaScript holds it.
struct Session {
  std::deque<Bound> bound;
  std::unique_ptr<Device> device;
  MemoryUse use;
  TensorTable tensors;
  std::map<uint32_t, Capture> captures;
  std::unique_ptr<Capture> capturing;                        // while one is recorded
  std::unique_ptr<Queue> queue = std::make_unique<Queue>();  // joined first

  explicit Session(std::unique_ptr<Device> opened) : device(std::move(opened)) {
    queue->wait_with([this] { device->synchronize(); });
    queue->push({"start", [this] { device->start(); }});
  }
  ~Session() { queue.reset(); }

  // Runs a command in its turn, or records it.
  void submit(Command command) {
    if (capturing) {
      capturing->recording()->commands.push_back(std::move(command));
    } else {
      queue->push(std::move(command));
    }
  }
};

// What an addon instance keeps: the function (code, message) => Error that ts/native.ts gave.
struct Instance {
  Napi::FunctionReference make_error;
};

inline Napi::Error to_js_error(Napi::Env env, const std::string& code, const std::string& message) {
  auto* instance = env.GetInstanceData<Instance>();
  if (!instance || instance->make_error.IsEmpty()) return Napi::Error::New(env, message);
  const Napi::Value error =
      instance->make_error.Call({Napi::String::New(env, code), Napi::String::New(env, message)});
  return Napi::Error(env, error);
}

// Runs `body` and throws what it throws as a JavaScript error.
template <class Body>
Napi::Value guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const Error& error) {
    throw to_js_error(env, error.code(), error.what());
  } catch (const std::exception& error) {
    throw to_js_error(env, "ERR_INTERNAL", error.what());
  }
}

template <class T>
T argument(Session& session, const Napi::Value& value) {
  if constexpr (std::is_same_v<T, Tensor>) {
    const uint32_t handle = value.As<Napi::Number>().Uint32Value();
    if (handle != 0 && session.capturing) session.capturing->use(session.tensors.storage(handle));
    return session.tensors.get(handle);
  } else if constexpr (std::is_same_v<T, bool>) {
    return value.ToBoolean().Value();
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(value.As<Napi::Number>().Int64Value());
  } else {
    return static_cast<T>(value.As<Napi::Number>().DoubleValue());
  }
}

// A kernel's last parameter is the stream; those before it come from JavaScript.
template <class>
struct Signature;
template <class... All>
struct Signature<void (*)(All...)> {
  static constexpr size_t count = sizeof...(All) - 1;
  template <size_t... I>
  static auto parameters(std::index_sequence<I...>)
      -> std::tuple<std::tuple_element_t<I, std::tuple<All...>>...>;
  using Parameters = decltype(parameters(std::make_index_sequence<count>()));
};

template <class Parameters, size_t... I>
Parameters read_arguments(Session& session, const Napi::CallbackInfo& info,
                          std::index_sequence<I...>) {
  return Parameters{argument<std::tuple_element_t<I, Parameters>>(session, info[I])...};
}

template <auto Kernel>
Napi::Value queue_kernel(const Napi::CallbackInfo& info) {
  using Sig = Signature<decltype(Kernel)>;
  using Parameters = typename Sig::Parameters;
  return guarded(info.Env(), [&] {
    const auto& [session, name] = *static_cast<Bound*>(info.Data());
    if (info.Length() != Sig::count)
      throw InternalError(std::string(name) + " takes " + std::to_string(Sig::count) +
                          " arguments, received " + std::to_string(info.Length()));
    auto parameters =
        read_arguments<Parameters>(*session, info, std::make_index_sequence<Sig::count>());
    session->submit({name, [parameters, name = name, stream = &session->device->stream()] {
                       const KernelRange range(*stream, name);
                       std::apply([&](auto... values) { Kernel(values..., *stream); }, parameters);
                     }});
    return info.Env().Undefined();
  });
}
