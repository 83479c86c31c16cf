// Everything JavaScript can call: the list of kernels, and the object of an opened device. Its
// other functions are declared in methods.h.
#include "methods.h"

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
  KERNEL(drop_constant)                   \
  KERNEL(convolution_backward)            \
  KERNEL(convolution_batch_norm)          \
  KERNEL(convolution_batch_norm_backward) \
  KERNEL(fold_batch_norm)                 \
  KERNEL(max_pool)                        \
  KERNEL(max_pool_backward)               \
  KERNEL(adaptive_average_pool)           \
  KERNEL(adaptive_average_pool_backward)  \
  KERNEL(channel_gate)                    \
  KERNEL(channel_gate_backward)           \
  KERNEL(image_tokens)                    \
  KERNEL(image_tokens_backward)           \
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
  KERNEL(attention_weights)               \
  KERNEL(rotary)                          \
  KERNEL(swiglu)                          \
  KERNEL(swiglu_backward)                 \
  KERNEL(layer_scale)                     \
  KERNEL(layer_scale_backward)            \
  KERNEL(attending_lstm)                  \
  KERNEL(attending_lstm_backward)         \
  KERNEL(attending_lstm_pack)             \
  KERNEL(attending_lstm_step)             \
  KERNEL(attention_penalty)               \
  KERNEL(attention_penalty_backward)      \
  KERNEL(linear_cross_entropy)            \
  KERNEL(gradient_norm)                   \
  KERNEL(advance_step)                    \
  KERNEL(optimizer_step)                  \
  KERNEL(average_weights)                 \
  KERNEL(adjust_logits)                   \
  KERNEL(beam_step)                       \
  KERNEL(sample_step)

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
