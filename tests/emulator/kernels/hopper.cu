// A product the sm_90a way: TMA fills a ring of stages, mbarriers hand them over, wgmma multiplies.
// One producer warpgroup, two consumers of 64 rows each.
#include <cudaTypedefs.h>

#include "../../../cuda/device/ptx.cuh"
#include "harness.h"

namespace {

using cuda::bf16;
using harness::Buffer;

enum class Bug {
  none,
  early_release,
  bytes,
  no_wait,
  stride,
  one_warp_releases,
  no_init_fence,
  no_full_wait,
  no_empty_wait,
  no_fence,
  no_barrier,
  wait_one_less,
};

constexpr int kM = 128, kN = 64, kK = 64, kStages = 3;

struct alignas(1024) Ring {
  bf16 a[kStages][kM * kK];
  bf16 b[kStages][kN * kK];
  uint64_t full[kStages], empty[kStages];
};

// c [m, n] = a [m, k] b; b is [n, k] (K-major) or [k, n] (N-major). a_registers: a through
// ldmatrix.
template <bool b_n_major, bool a_registers, Bug bug>
__global__ void product(const __grid_constant__ ptx::TensorMap map_a,
                        const __grid_constant__ ptx::TensorMap map_b, float* c, int m, int n,
                        int k) {
  auto& ring = *cuda::dynamic_shared<Ring>();
  const int thread = threadIdx.x, lane = thread % 32, warpgroup = thread / 128;
  const int m0 = blockIdx.y * kM, n0 = blockIdx.x * kN, steps = (k + kK - 1) / kK;
  if (thread == 0) {
    for (int s = 0; s < kStages; s++) {
      ptx::mbarrier_init(&ring.full[s], 1);
      ptx::mbarrier_init(&ring.empty[s], bug == Bug::one_warp_releases ? 2 : 8);
    }
    if (bug != Bug::no_init_fence) ptx::mbarrier_init_fence();
  }
  if (bug != Bug::no_barrier) __syncthreads();
  if (warpgroup == 0) {
    ptx::registers_decrease<40>();
    if (thread == 0) {
      for (int step = 0; step < steps; step++) {
        const int s = step % kStages, phase = step / kStages % 2;
        if (bug != Bug::no_empty_wait) ptx::mbarrier_wait(&ring.empty[s], phase ^ 1);
        ptx::mbarrier_arrive_expect_tx(&ring.full[s],
                                       (kM + kN) * kK * 2 - (bug == Bug::bytes ? 16 : 0));
        ptx::tma_load_2d(ring.a[s], map_a, &ring.full[s], step * kK, m0);
        if (b_n_major)
          ptx::tma_load_2d(ring.b[s], map_b, &ring.full[s], n0, step * kK);
        else
          ptx::tma_load_2d(ring.b[s], map_b, &ring.full[s], step * kK, n0);
      }
    }
    return;
  }
  ptx::registers_increase<232>();
  const int consumer = warpgroup - 1, warp = thread / 32 % 4;
  float d[kN / 2];
  for (float& v : d) v = 0;
  for (int step = 0; step < steps; step++) {
    const int s = step % kStages;
    if (bug != Bug::no_full_wait) ptx::mbarrier_wait(&ring.full[s], step / kStages % 2);
    uint32_t fragments[4][4];
    if (a_registers) {
      const int row = consumer * 64 + warp * 16 + lane % 16;
      for (int kk = 0; kk < 4; kk++) {
        const int chunk = kk * 2 + lane / 16;
        ptx::ldmatrix_x4<false>(fragments[kk], ring.a[s] + row * kK + (chunk ^ (row % 8)) * 8);
      }
    }
    if (bug != Bug::no_fence) ptx::wgmma_fence();
    for (int kk = 0; kk < 4; kk++) {
      const uint64_t da =
          ptx::matrix_descriptor(ring.a[s] + consumer * 64 * kK + kk * 16, 16,
                                 bug == Bug::stride ? 512 : 1024, ptx::Swizzle::bytes128);
      const uint64_t db =
          b_n_major ? ptx::matrix_descriptor(ring.b[s] + kk * 16 * 64, kK * 128, 1024,
                                             ptx::Swizzle::bytes128)
                    : ptx::matrix_descriptor(ring.b[s] + kk * 16, 16, 1024, ptx::Swizzle::bytes128);
      if constexpr (a_registers)
        ptx::wgmma_rs<b_n_major>(d, fragments[kk], db, true);
      else
        ptx::wgmma_ss<false, b_n_major>(d, da, db, true);
    }
    ptx::wgmma_commit();
    if (bug != Bug::no_wait && bug != Bug::early_release)
      ptx::wgmma_wait<bug == Bug::wait_one_less ? 1 : 0>();
    __syncwarp();
    if (bug == Bug::one_warp_releases ? thread % 128 == 0 : lane == 0)
      ptx::mbarrier_arrive(&ring.empty[s]);
    if (bug == Bug::early_release) ptx::wgmma_wait<0>();
  }
  if (bug == Bug::wait_one_less) ptx::wgmma_wait<0>();
  for (int i = 0; i < kN / 2; i++) {
    const int row = m0 + consumer * 64 + warp * 16 + lane / 4 + i / 2 % 2 * 8;
    const int column = n0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (row < m && column < n) c[row * n + column] = d[i];
  }
}

CUtensorMap map_2d(bf16* data, uint64_t inner, uint64_t outer, uint32_t box_inner,
                   uint32_t box_outer) {
  void* function = nullptr;
  cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault);
  const auto encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  CUtensorMap map;
  const cuuint64_t sizes[] = {inner, outer}, strides[] = {inner * 2};
  const cuuint32_t box[] = {box_inner, box_outer}, ones[] = {1, 1};
  if (encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, data, sizes, strides, box, ones,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE))
    emulator::settings().capability = 0;  // every later launch fails
  return map;
}

template <bool b_n_major, bool a_registers, Bug bug = Bug::none>
std::string run_product() {
  constexpr int m = 136, n = 72, k = 264;
  Buffer<bf16> a(m * k), b(k * n);
  Buffer<float> c(m * n);
  for (auto& v : a.host) v = harness::random_value();
  for (auto& v : b.host) v = harness::random_value();
  a.upload();
  b.upload();
  const auto map_a = map_2d(a.device(), k, m, kK, kM);
  const auto map_b =
      b_n_major ? map_2d(b.device(), n, k, kN, kK) : map_2d(b.device(), k, n, kK, kN);
  const auto error = harness::launch(product<b_n_major, a_registers, bug>, dim3(2, 2), 384,
                                     sizeof(Ring), map_a, map_b, c.device(), m, n, k);
  if (!error.empty()) return error;
  c.download();
  const auto want =
      harness::multiply(harness::to_float(a.host), harness::to_float(b.host), m, n, k, !b_n_major);
  return harness::compare(c.host, want, 1e-4);
}

template <bool fence, bool wait = true>
__global__ void store(const __grid_constant__ ptx::TensorMap map) {
  bf16* tile = cuda::dynamic_shared<bf16>();
  for (int i = threadIdx.x; i < 64 * 64; i += blockDim.x) {
    const int row = i / 64, column = i % 64;
    tile[row * 64 + (column / 8 ^ row % 8) * 8 + column % 8] = static_cast<float>(i % 251);
  }
  if (fence) ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::tma_store_2d(map, tile, 0, 64);
    ptx::bulk_commit();
    if (wait) ptx::bulk_wait<0>();
  }
}

// Rows 64-119 of 120 are written, 120-127 are clipped.
template <bool fence, bool wait = true>
std::string run_store() {
  Buffer<bf16> out(std::vector<bf16>(128 * 80, bf16(-1.0f)));
  const auto error =
      harness::launch(store<fence, wait>, 1, 128, 8192, map_2d(out.device(), 80, 120, 64, 64));
  if (!error.empty()) return error;
  out.download();
  for (int row = 0; row < 128; row++)
    for (int column = 0; column < 80; column++) {
      const bool written = row >= 64 && row < 120 && column < 64;
      const float want = written ? static_cast<float>(((row - 64) * 64 + column) % 251) : -1;
      if (float(out.host[row * 80 + column]) != want) return "the stored tensor differs";
    }
  return "";
}

// The tile is overwritten while the store may still read it.
template <bool wait>
__global__ void store_twice(const __grid_constant__ ptx::TensorMap map) {
  bf16* tile = cuda::dynamic_shared<bf16>();
  for (int round = 0; round < 2; round++) {
    for (int i = threadIdx.x; i < 64 * 64; i += blockDim.x) tile[i] = static_cast<float>(round);
    ptx::fence_proxy_async();
    __syncthreads();
    if (threadIdx.x == 0) {
      ptx::tma_store_2d(map, tile, 0, round * 64);
      ptx::bulk_commit();
      if (wait) ptx::bulk_wait_read<0>();
    }
    __syncthreads();
  }
}
template <bool wait>
std::string run_store_twice() {
  Buffer<bf16> out(128 * 64);
  return harness::launch(store_twice<wait>, 1, 128, 8192, map_2d(out.device(), 64, 128, 64, 64));
}

// Every block adds its tile of ones to the same place.
__global__ void sum(const __grid_constant__ ptx::TensorMap map) {
  float* tile = cuda::dynamic_shared<float>();
  for (int i = threadIdx.x; i < 8 * 32; i += blockDim.x) tile[i] = 1;
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::tma_reduce_add_2d(map, tile, 0, 0);
    ptx::bulk_commit();
    ptx::bulk_wait<0>();
  }
}
std::string run_sum() {
  Buffer<float> out(std::vector<float>(8 * 32, 2));
  CUtensorMap map;
  const cuuint64_t sizes[] = {32, 8}, strides[] = {128};
  const cuuint32_t box[] = {32, 8}, ones[] = {1, 1};
  cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, out.device(), sizes, strides,
                         box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                         CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  const auto error = harness::launch(sum, 5, 64, 1024, map);
  if (!error.empty()) return error;
  out.download();
  return harness::compare(out.host, std::vector<double>(8 * 32, 7), 0);
}

std::string on_ampere() {
  emulator::settings().capability = 80;
  const auto text = run_product<false, false>();
  emulator::settings().capability = 90;
  return text;
}

}  // namespace

int main() {
  using harness::correct;
  using harness::planted;
  correct("wgmma, b K-major", run_product<false, false>);
  correct("wgmma, b N-major", run_product<true, false>);
  correct("wgmma, a in registers", run_product<false, true>);
  correct("TMA store", run_store<true>);
  correct("TMA sums", run_sum);
  correct("TMA stores in turn", run_store_twice<true>);
  planted("stage released before wgmma_wait", "data race",
          run_product<false, false, Bug::early_release>);
  planted("one warp releases for four", "data race",
          run_product<false, false, Bug::one_warp_releases>);
  planted("wrong number of bytes", "deadlock", run_product<false, false, Bug::bytes>);
  planted("accumulators read before wgmma_wait", "registers of a wgmma",
          run_product<false, false, Bug::no_wait>);
  planted("stage released one wgmma group early", "data race",
          run_product<false, false, Bug::wait_one_less>);
  planted("no fence after mbarrier_init", "mbarrier_init_fence",
          run_product<false, false, Bug::no_init_fence>);
  planted("no wait for a full stage", "nothing has written",
          run_product<false, false, Bug::no_full_wait>);
  planted("no wait for an empty stage", "more arrivals",
          run_product<false, false, Bug::no_empty_wait>);
  planted("no wgmma_fence", "without a wgmma_fence", run_product<false, false, Bug::no_fence>);
  planted("no barrier after mbarrier_init", "nothing has written",
          run_product<false, false, Bug::no_barrier>);
  planted("no proxy fence before a TMA store", "without a fence.proxy.async", run_store<false>);
  planted("end without waiting for a TMA store", "a TMA store that was not",
          run_store<true, false>);
  planted("tile overwritten under a TMA store", "data race", run_store_twice<false>);
  planted("Hopper instructions on sm_80", "needs compute capability 9.0", on_ampere);
  emulator::settings().check = false;
  correct("a wrong descriptor gives wrong numbers", [] {
    return run_product<false, false, Bug::stride>().empty() ? "the numbers are right" : "";
  });
  return harness::result();
}
