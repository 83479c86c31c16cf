// A product the sm_80 way: a ring of stages filled by cp.async, ldmatrix, mma.sync.
#include "../../../cuda/device/ptx.cuh"
#include "../../../cuda/device/vector.cuh"
#include "harness.h"

namespace {

using cuda::bf16;
using harness::Buffer;

enum class Bug { none, wait_too_few, early_refill, no_barrier, no_transposition };

constexpr int kM = 64, kN = 64, kK = 32, kStages = 3;

struct Tiles {
  bf16 a[kStages][kM][kK];
  bf16 b[kStages][kK][kN];
};

// c [m, n] = a [m, k] b [k, n]; 4 warps, each 32 x 32. 16-byte chunks are exchanged within a row so
// that ldmatrix meets every bank once.
template <Bug bug>
__global__ void product(const bf16* a, const bf16* b, float* c, int m, int n, int k) {
  auto& tiles = *cuda::dynamic_shared<Tiles>();
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const int warp_m = warp / 2 * 32, warp_n = warp % 2 * 32;
  const int m0 = blockIdx.y * kM, n0 = blockIdx.x * kN;
  const auto load = [&](int stage, int step) {
    for (int i = thread; i < kM * kK / 8; i += 128) {
      const int row = i / 4, chunk = i % 4, at_k = step * kK + chunk * 8;
      const bool valid = m0 + row < m && at_k < k;
      ptx::cp_async<16>(&tiles.a[stage][row][(chunk ^ (row / 2 % 4)) * 8],
                        valid ? a + (m0 + row) * k + at_k : a, valid);
    }
    for (int i = thread; i < kK * kN / 8; i += 128) {
      const int row = i / 8, chunk = i % 8, at_k = step * kK + row, at_n = n0 + chunk * 8;
      const bool valid = at_k < k && at_n < n;
      ptx::cp_async<16>(&tiles.b[stage][row][(chunk ^ (row % 8)) * 8],
                        valid ? b + at_k * n + at_n : b, valid);
    }
  };
  float sums[2][4][4] = {};
  const int steps = (k + kK - 1) / kK;
  for (int s = 0; s < kStages - 1; s++) {
    if (s < steps) load(s, s);
    ptx::cp_async_commit();
  }
  for (int step = 0; step < steps; step++) {
    const int stage = step % kStages, next = step + kStages - 1;
    if (bug == Bug::early_refill) {
      if (next < steps) load(next % kStages, next);
      ptx::cp_async_commit();
    }
    ptx::cp_async_wait<bug == Bug::wait_too_few || bug == Bug::early_refill ? kStages - 1
                                                                            : kStages - 2>();
    if (bug != Bug::no_barrier) __syncthreads();
    if (bug != Bug::early_refill) {
      if (next < steps) load(next % kStages, next);
      ptx::cp_async_commit();
    }
    for (int kk = 0; kk < 2; kk++) {
      uint32_t fa[2][4], fb[2][4];
      for (int i = 0; i < 2; i++) {
        const int row = warp_m + i * 16 + lane % 16, chunk = kk * 2 + lane / 16;
        ptx::ldmatrix_x4<false>(fa[i], &tiles.a[stage][row][(chunk ^ (row / 2 % 4)) * 8]);
        const int row_b = kk * 16 + lane % 16, chunk_b = warp_n / 8 + i * 2 + lane / 16;
        ptx::ldmatrix_x4<bug != Bug::no_transposition>(
            fb[i], &tiles.b[stage][row_b][(chunk_b ^ (row_b % 8)) * 8]);
      }
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
          ptx::mma_16816(sums[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
    }
  }
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 4; j++)
      for (int r = 0; r < 4; r++) {
        const int row = m0 + warp_m + i * 16 + lane / 4 + r / 2 * 8;
        const int column = n0 + warp_n + j * 8 + lane % 4 * 2 + r % 2;
        if (row < m && column < n) c[row * n + column] = sums[i][j][r];
      }
}

template <Bug bug = Bug::none>
std::string run_product() {
  constexpr int m = 72, n = 88, k = 136;
  Buffer<bf16> a(m * k), b(k * n);
  Buffer<float> c(m * n);
  for (auto& v : a.host) v = harness::random_value();
  for (auto& v : b.host) v = harness::random_value();
  a.upload();
  b.upload();
  const auto error = harness::launch(product<bug>, dim3(2, 2), 128, sizeof(Tiles), a.device(),
                                     b.device(), c.device(), m, n, k);
  if (!error.empty()) return error;
  c.download();
  const auto want =
      harness::multiply(harness::to_float(a.host), harness::to_float(b.host), m, n, k, false);
  return harness::compare(c.host, want, 1e-4);
}

// 4- and 8-byte copies, and a tail of zeros.
__global__ void small_copies(const float* x, float* out) {
  SHARED(float, buffer, [96]);
  const int t = threadIdx.x;
  ptx::cp_async<4>(&buffer[t], x + t, t != 5);
  ptx::cp_async<8>(&buffer[32 + 2 * t], x + 2 * t, t < 16);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  __syncwarp();
  for (int i = t; i < 96; i += 32) out[i] = buffer[i];
}

std::string run_small_copies() {
  std::vector<float> values(64);
  for (int i = 0; i < 64; i++) values[i] = i;
  Buffer<float> x(values), out(96);
  const auto error = harness::launch(small_copies, 1, 32, 0, x.device(), out.device());
  if (!error.empty()) return error;
  out.download();
  std::vector<double> want(96);
  for (int i = 0; i < 96; i++) want[i] = i < 32 ? (i == 5 ? 0 : i) : (i < 64 ? i - 32 : 0);
  return harness::compare(out.host, want, 0);
}

// Warps 1-3 bring values for warp 0, which waits on an mbarrier for their copies.
template <bool wait>
__global__ void handed_over(const float* x, float* out) {
  SHARED(float, buffer, [96]);
  SHARED(uint64_t, barrier, [1]);
  const int t = threadIdx.x;
  if (t == 0) ptx::mbarrier_init(barrier, 96);
  __syncthreads();
  if (t >= 32) {
    ptx::cp_async<4>(&buffer[t - 32], x + t - 32);
    ptx::cp_async_mbarrier_arrive(barrier);
    return;
  }
  if (wait) ptx::mbarrier_wait(barrier, 0);
  for (int i = t; i < 96; i += 32) out[i] = buffer[i];
}

template <bool wait>
std::string run_handed_over() {
  std::vector<float> values(96);
  for (int i = 0; i < 96; i++) values[i] = i;
  Buffer<float> x(values), out(96);
  const auto error = harness::launch(handed_over<wait>, 1, 128, 0, x.device(), out.device());
  if (!error.empty()) return error;
  out.download();
  return harness::compare(out.host, {values.begin(), values.end()}, 0);
}

__global__ void misaligned_copy(const float* x) {
  SHARED(float, buffer, [8]);
  ptx::cp_async<16>(buffer, x + 1);
  ptx::cp_async_wait<0>();
}
std::string run_misaligned_copy() {
  Buffer<float> x(std::vector<float>(8, 0));
  return harness::launch(misaligned_copy, 1, 1, 0, x.device());
}

// stmatrix is the inverse of ldmatrix.
template <bool transposed>
__global__ void there_and_back(const bf16* x, bf16* out) {
  SHARED(bf16, from, [32][8]);
  SHARED(bf16, to, [32][8]);
  const int lane = threadIdx.x;
  for (int i = 0; i < 8; i++) from[lane][i] = x[lane * 8 + i];
  __syncwarp();
  uint32_t r[4];
  ptx::ldmatrix_x4<transposed>(r, from[lane]);
  ptx::stmatrix_x4<transposed>(to[lane], r);
  __syncwarp();
  for (int i = 0; i < 8; i++) out[lane * 8 + i] = to[lane][i];
}

template <bool transposed>
std::string run_there_and_back() {
  Buffer<bf16> x(256), out(256);
  for (int i = 0; i < 256; i++) x.host[i] = static_cast<float>(i);
  x.upload();
  const auto error =
      harness::launch(there_and_back<transposed>, 1, 32, 0, x.device(), out.device());
  if (!error.empty()) return error;
  out.download();
  for (int i = 0; i < 256; i++)
    if (float(out.host[i]) != i) return "element " + std::to_string(i) + " differs";
  return "";
}

}  // namespace

int main() {
  using harness::correct;
  using harness::planted;
  correct("cp.async, ldmatrix, mma.sync", run_product<>);
  correct("small copies", run_small_copies);
  correct("cp.async with an mbarrier", run_handed_over<true>);
  planted("no wait for copies", "nothing has written", run_handed_over<false>);
  correct("stmatrix", run_there_and_back<false>);
  correct("stmatrix transposed", run_there_and_back<true>);
  planted("wait for one group too few", "nothing has written", run_product<Bug::wait_too_few>);
  planted("stage refilled too early", "data race", run_product<Bug::early_refill>);
  planted("no barrier after the wait", "data race", run_product<Bug::no_barrier>);
  planted("misaligned cp.async", "not aligned to 16", run_misaligned_copy);
  // No rule is broken: only the numbers tell.
  emulator::settings().check = false;
  harness::correct("missing transposition gives wrong numbers", [] {
    return run_product<Bug::no_transposition>().empty() ? "the numbers are right" : "";
  });
  return harness::result();
}
