// What the emulator's own tests share: device buffers, launches, and the two kinds of test.
#pragma once
#include <cuda_runtime.h>

#include <functional>
#include <random>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

namespace harness {

// Device memory with a copy of it on the host.
template <class T>
class Buffer {
 public:
  explicit Buffer(size_t size) : host(size) { cudaMalloc(&device_, size * sizeof(T)); }
  explicit Buffer(std::vector<T> values) : host(std::move(values)) {
    cudaMalloc(&device_, host.size() * sizeof(T));
    upload();
  }
  ~Buffer() { cudaFree(device_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void upload() {
    cudaMemcpy(device_, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice);
  }
  void download() {
    cudaMemcpy(host.data(), device_, host.size() * sizeof(T), cudaMemcpyDeviceToHost);
  }
  T* device() { return device_; }
  size_t bytes() const { return host.size() * sizeof(T); }

  std::vector<T> host;

 private:
  T* device_ = nullptr;
};

// Empty, or the launch's error.
template <class... Parameters, class... Arguments>
std::string launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                   Arguments... arguments) {
  std::tuple<std::remove_const_t<Parameters>...> values(arguments...);
  const cudaError_t error =
      emulator::launch(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, nullptr,
                       [=] { std::apply(kernel, values); });
  return error ? cudaGetErrorString(error) : "";
}
template <class... Parameters, class... Arguments>
std::string launch_cooperative(void (*kernel)(Parameters...), dim3 grid, dim3 block,
                               Arguments... arguments) {
  std::tuple<std::remove_const_t<Parameters>...> values(arguments...);
  const cudaError_t error =
      emulator::launch_cooperative(reinterpret_cast<const void*>(kernel), grid, block, 0, nullptr,
                                   [=] { std::apply(kernel, values); });
  return error ? cudaGetErrorString(error) : "";
}

// Uniform in -1..1, the same every time.
float random_value();

// A test returns what is wrong, or nothing. `correct` wants nothing under every schedule and every
// completion of asynchronous work, with and without checks.
void correct(const char* name, const std::function<std::string()>& test);
// `planted` wants a report with `expected` in it from some schedule and completion, with checks.
void planted(const char* name, const char* expected, const std::function<std::string()>& test);

// a [m, k] times b [k, n], or with b_rows b [n, k] transposed, in float64. Here because the access
// hooks make host code in a kernel's file slow.
template <class T>
std::vector<float> to_float(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}
std::vector<double> multiply(const std::vector<float>& a, const std::vector<float>& b, int m, int n,
                             int k, bool b_rows);

// "" or the largest difference and where.
std::string compare(const std::vector<float>& got, const std::vector<double>& want,
                    double tolerance);

// The exit status: 0 if all went as wanted.
int result();

}  // namespace harness
