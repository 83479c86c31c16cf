// Kernels without asynchronous parts: barriers, shuffles, votes, atomics, bounds.
#include "../../../cuda/device/ptx.cuh"
#include "harness.h"

namespace {

using harness::Buffer;

enum class Bug { none, no_barrier, no_second_barrier, out_of_bounds, uninitialised, divergent };

__device__ float warp_sum(float v) {
  for (int offset = 16; offset; offset /= 2) v += __shfl_xor_sync(~0u, v, offset);
  return v;
}

// Sum of each row, through shared memory twice.
template <Bug bug>
__global__ void row_sum(const float* x, float* sums, float* shares, int columns) {
  SHARED(float, part, [32]);
  const int t = threadIdx.x, warp = t / 32, lane = t % 32, warps = blockDim.x / 32;
  const float* row = x + blockIdx.x * columns;
  float sum = 0;
  for (int i = t; i < columns; i += blockDim.x) sum += row[i];
  if (bug == Bug::divergent && t % 2) sum += __shfl_xor_sync(~0u, sum, 1);
  sum = warp_sum(sum);
  if (lane == 0) part[warp] = sum;
  if (bug != Bug::no_barrier) __syncthreads();
  sum = 0;
  for (int i = 0; i < warps + (bug == Bug::uninitialised ? 1 : 0); i++) sum += part[i];
  if (bug != Bug::no_second_barrier) __syncthreads();
  if (lane == 0) part[warp] = sum * warp;
  __syncthreads();
  const int end = columns + (bug == Bug::out_of_bounds && blockIdx.x + 1 == gridDim.x ? 1 : 0);
  for (int i = t; i < end; i += blockDim.x)
    shares[blockIdx.x * columns + i] = (i < columns ? row[i] : 0) / sum;
  if (t == 0) sums[blockIdx.x] = sum + part[0];
}

template <Bug bug = Bug::none>
std::string run_row_sum() {
  constexpr int rows = 5, columns = 300;
  Buffer<float> x(rows * columns), sums(rows), shares(rows * columns);
  std::vector<double> want(rows);
  for (int i = 0; i < rows * columns; i++) {
    x.host[i] = 1 + harness::random_value();
    want[i / columns] += x.host[i];
  }
  x.upload();
  const auto error = harness::launch(row_sum<bug>, rows, 128, 0, x.device(), sums.device(),
                                     shares.device(), columns);
  if (!error.empty()) return error;
  sums.download();
  return harness::compare(sums.host, want, 1e-3);
}

// Warps 0-1 produce, warps 2-3 consume.
__global__ void named_barriers(float* out) {
  SHARED(float, buffer, [64]);
  const int t = threadIdx.x;
  for (int i = 0; i < 4; i++) {
    if (t < 64) {
      ptx::barrier_sync(1, 128);
      buffer[t] = static_cast<float>(t + i);
      ptx::barrier_arrive(2, 128);
    } else {
      ptx::barrier_arrive(1, 128);
      ptx::barrier_sync(2, 128);
      out[i * 64 + t - 64] = buffer[127 - t];
    }
  }
}

std::string run_named_barriers() {
  Buffer<float> out(256);
  const auto error = harness::launch(named_barriers, 1, 128, 0, out.device());
  if (!error.empty()) return error;
  out.download();
  std::vector<double> want(256);
  for (int i = 0; i < 256; i++) want[i] = 63 - i % 64 + i / 64;
  return harness::compare(out.host, want, 0);
}

__global__ void histogram(int* counts, float* total, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    atomicAdd(&counts[i % 10], 1);
    atomicAdd(total, 0.5f);
  }
}

std::string run_histogram() {
  Buffer<int> counts(std::vector<int>(10, 0));
  Buffer<float> total(std::vector<float>(1, 0));
  const auto error = harness::launch(histogram, 16, 128, 0, counts.device(), total.device(), 10000);
  if (!error.empty()) return error;
  counts.download();
  total.download();
  for (const int c : counts.host)
    if (c != 1000) return "a count is wrong";
  return total.host[0] == 5000 ? "" : "the total is wrong";
}

__global__ void votes(unsigned* out) {
  const unsigned ballot = __ballot_sync(~0u, threadIdx.x % 3 == 0);
  const int count = __syncthreads_count(threadIdx.x & 1);
  const int sum = __reduce_add_sync(~0u, static_cast<int>(threadIdx.x % 32));
  if (threadIdx.x) return;
  out[0] = ballot;
  out[1] = count;
  out[2] = __popc(ballot);
  out[3] = sum;
}

std::string run_votes() {
  Buffer<unsigned> out(4);
  const auto error = harness::launch(votes, 1, 96, 0, out.device());
  if (!error.empty()) return error;
  out.download();
  return out.host == std::vector<unsigned>{0x49249249u, 48u, 11u, 496u} ? "" : "a vote is wrong";
}

__global__ void tree(float* out) {
  SHARED(float, value, [1024]);
  const int t = threadIdx.x;
  value[t] = 1;
  for (int half = 512; half; half /= 2) {
    __syncthreads();
    if (t < half) value[t] += value[t + half];
  }
  if (t == 0) out[blockIdx.x] = value[0];
}

std::string run_tree() {
  Buffer<float> out(4);
  const auto error = harness::launch(tree, 4, 1024, 0, out.device());
  if (!error.empty()) return error;
  out.download();
  return harness::compare(out.host, std::vector<double>(4, 1024), 0);
}

template <bool barrier>
__global__ void exchange(float* out) {
  SHARED(float, value, [32]);
  value[threadIdx.x] = threadIdx.x;
  if (barrier) __syncwarp();
  out[threadIdx.x] = value[31 - threadIdx.x];
}

template <bool barrier>
std::string run_exchange() {
  Buffer<float> out(32);
  return harness::launch(exchange<barrier>, 1, 32, 0, out.device());
}

__global__ void same_place(float* out) { out[threadIdx.x] = blockIdx.x; }
std::string run_same_place() {
  Buffer<float> out(32);
  return harness::launch(same_place, 4, 32, 0, out.device());
}

__global__ void misaligned(float4* out, const float* x) {
  out[threadIdx.x] = *reinterpret_cast<const float4*>(x + threadIdx.x);
}
std::string run_misaligned() {
  Buffer<float4> out(8);
  Buffer<float> x(std::vector<float>(64, 0));
  return harness::launch(misaligned, 1, 8, 0, out.device(), x.device());
}

__global__ void early_return(float* out) {
  if (threadIdx.x > 40) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}
std::string run_early_return() {
  Buffer<float> out(64);
  return harness::launch(early_return, 1, 64, 0, out.device());
}

__global__ void lost_warp() {
  if (threadIdx.x < 32)
    ptx::barrier_sync(1, 64);
  else
    ptx::barrier_sync(2, 64);
}
std::string run_lost_warp() { return harness::launch(lost_warp, 1, 64, 0); }

__global__ void read_unwritten(const float* x, float* out) { out[threadIdx.x] = x[threadIdx.x]; }
std::string run_read_unwritten() {
  Buffer<float> x(32), out(32);
  return harness::launch(read_unwritten, 1, 32, 0, x.device(), out.device());
}

// Neighbouring bytes and halves of different threads do not conflict.
__global__ void small_types(uint8_t* bytes, uint16_t* halves) {
  bytes[threadIdx.x] = static_cast<uint8_t>(threadIdx.x);
  halves[threadIdx.x] = static_cast<uint16_t>(threadIdx.x);
}
std::string run_small_types() {
  Buffer<uint8_t> bytes(64);
  Buffer<uint16_t> halves(64);
  return harness::launch(small_types, 1, 64, 0, bytes.device(), halves.device());
}

// The block that comes last adds what all have written.
template <bool acquire>
__global__ void last_block(float* parts, unsigned* arrived, float* out) {
  SHARED(int, last, [1]);
  parts[blockIdx.x * 32 + threadIdx.x] = 1;
  __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned before = acquire ? ptx::atomic_add_acq_rel(arrived, 1) : atomicAdd(arrived, 1u);
    last[0] = before + 1 == gridDim.x;
  }
  __syncthreads();
  if (!last[0]) return;
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; i++) sum += parts[i * 32 + threadIdx.x];
  out[threadIdx.x] = sum;
}

template <bool acquire>
std::string run_last_block() {
  Buffer<float> parts(6 * 32), out(32);
  Buffer<unsigned> arrived(std::vector<unsigned>(1, 0));
  const auto error = harness::launch(last_block<acquire>, 6, 32, 0, parts.device(),
                                     arrived.device(), out.device());
  if (!error.empty()) return error;
  out.download();
  return harness::compare(out.host, std::vector<double>(32, 6), 0);
}

// All blocks write, meet, and read what another wrote.
template <bool barrier>
__global__ void rounds(float* values, float* out) {
  const int own = blockIdx.x * blockDim.x + threadIdx.x, size = gridDim.x * blockDim.x;
  for (int round = 0; round < 3; round++) {
    values[own] = static_cast<float>(own + round);
    __syncthreads();
    if (threadIdx.x == 0 && barrier) ptx::grid_barrier();
    __syncthreads();
    out[round * size + own] = values[size - 1 - own];
    __syncthreads();
    if (threadIdx.x == 0) ptx::grid_barrier();
    __syncthreads();
  }
}

template <bool barrier>
std::string run_rounds() {
  constexpr int size = 6 * 64;
  Buffer<float> values(size), out(3 * size);
  const auto error = harness::launch_cooperative(rounds<barrier>, dim3(6), dim3(64),
                                                 values.device(), out.device());
  if (!error.empty()) return error;
  out.download();
  std::vector<double> want(3 * size);
  for (int i = 0; i < 3 * size; i++) want[i] = size - 1 - i % size + i / size;
  return harness::compare(out.host, want, 0);
}

__global__ void double_value(float* x) { x[threadIdx.x] *= 2; }
// What a launcher must not do.
std::string run_host_read() {
  Buffer<float> x(std::vector<float>(32, 1));
  harness::launch(double_value, 1, 32, 0, x.device());
  volatile float first = x.device()[0];
  (void)first;
  return harness::launch(double_value, 1, 32, 0, x.device());
}

}  // namespace

int main() {
  using harness::correct;
  using harness::planted;
  correct("row sums", run_row_sum<>);
  correct("named barriers", run_named_barriers);
  correct("atomics", run_histogram);
  correct("votes", run_votes);
  correct("1024 threads", run_tree);
  correct("__syncwarp", run_exchange<true>);
  correct("bytes and halves", run_small_types);
  correct("last block", run_last_block<true>);
  correct("grid barrier", run_rounds<true>);
  planted("missing barrier after a write", "nothing has written", run_row_sum<Bug::no_barrier>);
  planted("missing barrier before a write", "data race", run_row_sum<Bug::no_second_barrier>);
  planted("out of bounds", "out of bounds: write of 4 bytes", run_row_sum<Bug::out_of_bounds>);
  planted("uninitialised shared memory", "nothing has written", run_row_sum<Bug::uninitialised>);
  planted("divergent shuffle", "warp collective", run_row_sum<Bug::divergent>);
  planted("missing __syncwarp", "nothing has written", run_exchange<false>);
  planted("race between blocks", "of block", run_same_place);
  planted("misaligned", "misaligned read of 16 bytes", run_misaligned);
  planted("threads that ended before a barrier", "have ended", run_early_return);
  planted("deadlock", "deadlock: nothing can run. [warp 0: barrier", run_lost_warp);
  planted("uninitialised global memory", "global memory that nothing has written",
          run_read_unwritten);
  planted("last block without acquire", "data race", run_last_block<false>);
  planted("missing grid barrier", "data race", run_rounds<false>);
  planted("host code reads device memory", "host code reads", run_host_read);
  return harness::result();
}
