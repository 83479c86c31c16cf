// The runtime API over the emulator: memory limits, capture and replay of graphs, errors as text,
// and the access profile.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "../../../cuda/device/ptx.cuh"
#include "harness.h"

namespace {

using harness::Buffer;

__global__ void add_one(float* x) { x[threadIdx.x] += 1; }

cudaError_t start(float* x, cudaStream_t stream) {
  return emulator::launch(reinterpret_cast<const void*>(&add_one), 1, 32, 0, stream,
                          [=] { add_one(x); });
}

// A launch, a fill and a copy, recorded once and replayed three times.
std::string graph() {
  Buffer<float> x(std::vector<float>(32, 5)), copy(32);
  cudaStream_t stream;
  cudaGraph_t recorded;
  cudaGraphExec_t executable;
  cudaStreamCreate(&stream);
  if (cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal)) return "capture refused";
  cudaMemsetAsync(x.device(), 0, x.bytes(), stream);
  start(x.device(), stream);
  start(x.device(), stream);
  cudaMemcpyAsync(copy.device(), x.device(), x.bytes(), cudaMemcpyDeviceToDevice, stream);
  if (cudaStreamEndCapture(stream, &recorded)) return "the end of the capture was refused";
  x.download();
  if (x.host[0] != 5) return "captured work was carried out";
  cudaGraphInstantiate(&executable, recorded);
  cudaGraphDestroy(recorded);
  for (int i = 0; i < 3; i++)
    if (cudaGraphLaunch(executable, stream)) return cudaGetErrorString(cudaGetLastError());
  cudaGraphExecDestroy(executable);
  cudaStreamDestroy(stream);
  copy.download();
  return copy.host[31] == 2 ? "" : "the replayed result is wrong";
}

// Allocating or waiting while capturing is refused and spoils the capture.
std::string spoilt_capture() {
  cudaStream_t stream;
  cudaGraph_t recorded;
  cudaStreamCreate(&stream);
  void* p = nullptr;
  std::string wrong;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  if (cudaMalloc(&p, 64) != cudaErrorStreamCaptureUnsupported) wrong = "cudaMalloc was allowed";
  if (cudaStreamEndCapture(stream, &recorded) != cudaErrorStreamCaptureInvalidated)
    wrong = "the capture was not spoilt";
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
  if (cudaStreamSynchronize(stream) != cudaErrorStreamCaptureUnsupported)
    wrong = "cudaStreamSynchronize was allowed";
  if (cudaStreamEndCapture(stream, &recorded) != cudaErrorStreamCaptureInvalidated)
    wrong = "the capture was not spoilt by waiting";
  cudaStreamDestroy(stream);
  if (cudaGetLastError() == cudaSuccess) wrong = "no last error";
  return wrong;
}

// A second stream joins the capture through an event.
std::string forked_capture() {
  Buffer<float> x(std::vector<float>(32, 0));
  cudaStream_t first, second;
  cudaEvent_t fork, join;
  cudaGraph_t recorded;
  cudaGraphExec_t executable;
  cudaStreamCreate(&first);
  cudaStreamCreate(&second);
  cudaEventCreate(&fork);
  cudaEventCreate(&join);
  cudaStreamBeginCapture(first, cudaStreamCaptureModeThreadLocal);
  cudaEventRecord(fork, first);
  cudaStreamWaitEvent(second, fork);
  start(x.device(), second);
  cudaEventRecord(join, second);
  cudaStreamWaitEvent(first, join);
  start(x.device(), first);
  cudaStreamEndCapture(first, &recorded);
  size_t nodes = 0;
  cudaGraphGetNodes(recorded, nullptr, &nodes);
  cudaGraphInstantiate(&executable, recorded);
  cudaGraphLaunch(executable, first);
  x.download();
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(recorded);
  cudaEventDestroy(fork);
  cudaEventDestroy(join);
  cudaStreamDestroy(first);
  cudaStreamDestroy(second);
  return nodes == 2 && x.host[0] == 2 ? "" : "the second stream's work is missing";
}

std::string memory_limit() {
  const size_t before = emulator::settings().memory;
  size_t available, total;
  cudaMemGetInfo(&available, &total);
  emulator::settings().memory = total - available + (1 << 20);
  void *p = nullptr, *q = nullptr;
  std::string wrong;
  if (cudaMalloc(&p, 1 << 19)) wrong = "memory within the limit was refused";
  if (cudaMalloc(&q, (1 << 19) + 1) != cudaErrorMemoryAllocation) wrong = "the limit was passed";
  cudaMemGetInfo(&available, &total);
  if (available != 1 << 19) wrong = "cudaMemGetInfo counts wrongly";
  cudaFree(p);
  if (cudaFree(&wrong) != cudaErrorInvalidValue) wrong = "a foreign pointer was freed";
  cudaGetLastError();
  emulator::settings().memory = before;
  return wrong;
}

std::string copies() {
  Buffer<float> x(16);
  std::vector<float> host(32);
  if (cudaMemcpy(host.data(), x.device(), 128, cudaMemcpyDeviceToHost) != cudaErrorInvalidValue)
    return "a copy beyond the end was allowed";
  cudaGetLastError();
  const auto error = emulator::launch(nullptr, 1, 2048, 0, nullptr, [] {});
  if (error != cudaErrorInvalidConfiguration) return "a block of 2048 threads was allowed";
  if (emulator::launch(nullptr, 1, 32, 228 * 1024, nullptr, [] {}) != cudaErrorInvalidValue)
    return "228 KiB of shared memory were allowed";
  cudaGetLastError();
  return "";
}

std::string freed() {
  float* p;
  {
    Buffer<float> x(std::vector<float>(32, 0));
    p = x.device();
  }
  return harness::launch(add_one, 1, 32, 0, p);
}

// An allocator's smaller second use of a block.
std::string reused() {
  Buffer<float> x(std::vector<float>(64, 0));
  emulator::reuse(x.device(), 64);
  return harness::launch(add_one, 1, 32, 0, x.device());
}
__global__ void fill(float* x, int n) {
  for (int i = threadIdx.x; i < n; i += 32) x[i] = 0;
}
std::string reused_beyond() {
  Buffer<float> x(std::vector<float>(64, 0));
  emulator::reuse(x.device(), 64);
  return harness::launch(fill, 1, 32, 0, x.device(), 17);
}

// A 32 x 32 transposition reads shared memory by columns: 32 wavefronts for each request without
// padding, 1 with it. `strided` uses 4 of each 32 bytes it moves.
template <int padding>
__global__ void transpose(const float* x, float* out) {
  SHARED(float, tile, [32][32 + padding]);
  for (int i = threadIdx.y; i < 32; i += 8) tile[i][threadIdx.x] = x[i * 32 + threadIdx.x];
  __syncthreads();
  for (int i = threadIdx.y; i < 32; i += 8) out[i * 32 + threadIdx.x] = tile[threadIdx.x][i];
}
__global__ void strided(const float* x, float* out) { out[threadIdx.x] = x[threadIdx.x * 8]; }

std::string profile() {
  std::string file = std::filesystem::temp_directory_path() / "emulator-profile-XXXXXX";
  close(mkstemp(file.data()));
  Buffer<float> x(std::vector<float>(1024, 1)), out(1024);
  emulator::settings().profile = file;
  harness::launch(transpose<0>, 1, dim3(32, 8), 0, x.device(), out.device());
  harness::launch(transpose<1>, 1, dim3(32, 8), 0, x.device(), out.device());
  harness::launch(strided, 1, 128, 0, x.device(), out.device());
  emulator::settings().profile.clear();
  std::ifstream stream(file);
  std::stringstream text;
  text << stream.rdbuf();
  std::remove(file.c_str());
  const auto has = [&](const std::string& part) {
    return text.str().find(part) != std::string::npos;
  };
  // 32 requests of 32 wavefronts; 32 of 1.
  if (!has("\"space\":\"shared\",\"write\":false,\"bytes\":4,\"requests\":32,\"transactions\":1024,"
           "\"ideal\":32"))
    return "no bank conflicts in: " + text.str();
  if (!has("\"space\":\"shared\",\"write\":false,\"bytes\":4,\"requests\":32,\"transactions\":32,"
           "\"ideal\":32"))
    return "padding does not help in: " + text.str();
  if (!has("\"kernel\":\"strided\",\"launch\"") ||
      !has("\"read_bytes\":512,\"read_distinct\":512,\"read_moved\":4096,\"written_bytes\":512,"
           "\"written_distinct\":512,\"written_moved\":512"))
    return "no totals in: " + text.str();
  return "";
}

}  // namespace

int main() {
  using harness::correct;
  using harness::planted;
  correct("graph", graph);
  correct("spoilt capture", spoilt_capture);
  correct("forked capture", forked_capture);
  correct("memory limit", memory_limit);
  correct("refused calls", copies);
  planted("freed memory", "not allocated, or freed", freed);
  planted("first read after reuse", "nothing has written", reused);
  planted("bounds after reuse", "of 64 bytes allocated", reused_beyond);
  correct("access profile", profile);
  return harness::result();
}
