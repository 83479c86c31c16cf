// Every function of cuda/device/ptx.cuh and wgmma.cuh, for the CPU: same names, same meaning.
#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "emulator/asynchronous.h"

namespace ptx {

using TensorMap = CUtensorMap;

__forceinline__ uint32_t shared_address(const void* p) { return emulator::shared_address(p); }
__forceinline__ float exp2(float x) { return ::exp2f(x); }
__forceinline__ void sine_cosine_of_pi(float x, float& sine, float& cosine) {
  constexpr double kPi = 3.14159265358979323846;
  const double angle = kPi * std::remainder(static_cast<double>(x), 2.0);
  sine = static_cast<float>(std::sin(angle));
  cosine = static_cast<float>(std::cos(angle));
}

// --- tensor cores, sm_80

__forceinline__ void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const uint32_t b[2] = {b0, b1};
  emulator::mma_16816(d, a, b);
}
template <bool transposed>
__forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  emulator::ldmatrix(r, 4, row, transposed);
}
template <bool transposed>
__forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  emulator::ldmatrix(r, 2, row, transposed);
}
template <bool transposed>
__forceinline__ void ldmatrix_x1(uint32_t& r, const void* row) {
  emulator::ldmatrix(&r, 1, row, transposed);
}

// --- asynchronous copies, sm_80

template <int bytes>
__forceinline__ void cp_async(void* to, const void* from, bool valid = true) {
  static_assert(bytes == 16 || bytes == 8 || bytes == 4);
  emulator::cp_async(to, from, bytes, valid ? bytes : 0);
}
__forceinline__ void cp_async_commit() { emulator::cp_async_commit(); }
template <int pending>
__forceinline__ void cp_async_wait() {
  emulator::cp_async_wait(pending);
}

__forceinline__ void barrier_sync(int id, int threads) { emulator::barrier_sync(id, threads); }
__forceinline__ void barrier_arrive(int id, int threads) { emulator::barrier_arrive(id, threads); }

// --- memory order between blocks

__forceinline__ unsigned atomic_add_acq_rel(unsigned* p, unsigned value) {
  return emulator::atomic_add_acq_rel(p, value);
}

// --- sm_90: mbarriers

__forceinline__ void mbarrier_init(uint64_t* barrier, uint32_t count) {
  emulator::mbarrier_init(barrier, count);
}
__forceinline__ void mbarrier_init_fence() { emulator::mbarrier_init_fence(); }
__forceinline__ void fence_proxy_async() { emulator::fence_proxy_async(); }
__forceinline__ void mbarrier_arrive(uint64_t* barrier) {
  emulator::mbarrier_arrive(barrier, 1, 0);
}
__forceinline__ void mbarrier_arrive_expect_tx(uint64_t* barrier, uint32_t bytes) {
  emulator::mbarrier_arrive(barrier, 1, bytes);
}
__forceinline__ void mbarrier_expect_tx(uint64_t* barrier, uint32_t bytes) {
  emulator::mbarrier_expect(barrier, bytes);
}
__forceinline__ void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
  emulator::mbarrier_wait(barrier, parity);
}
__forceinline__ void cp_async_mbarrier_arrive(uint64_t* barrier) {
  emulator::cp_async_mbarrier_arrive(barrier, true);
}

// --- sm_90: TMA

__forceinline__ void tma_load_2d(void* to, const TensorMap& map, uint64_t* barrier, int c0,
                                 int c1) {
  const int c[] = {c0, c1};
  emulator::tma_load(to, &map, barrier, 2, c, nullptr);
}
__forceinline__ void tma_load_3d(void* to, const TensorMap& map, uint64_t* barrier, int c0, int c1,
                                 int c2) {
  const int c[] = {c0, c1, c2};
  emulator::tma_load(to, &map, barrier, 3, c, nullptr);
}
__forceinline__ void tma_load_im2col_4d(void* to, const TensorMap& map, uint64_t* barrier, int c,
                                        int w, int h, int n, uint16_t offset_w, uint16_t offset_h) {
  const int coordinates[] = {c, w, h, n};
  const uint16_t offsets[] = {offset_w, offset_h};
  emulator::tma_load(to, &map, barrier, 4, coordinates, offsets);
}
__forceinline__ void tma_store_2d(const TensorMap& map, const void* from, int c0, int c1) {
  const int c[] = {c0, c1};
  emulator::tma_store(&map, from, 2, c, false);
}
__forceinline__ void tma_store_3d(const TensorMap& map, const void* from, int c0, int c1, int c2) {
  const int c[] = {c0, c1, c2};
  emulator::tma_store(&map, from, 3, c, false);
}
__forceinline__ void tma_store_4d(const TensorMap& map, const void* from, int c0, int c1, int c2,
                                  int c3) {
  const int c[] = {c0, c1, c2, c3};
  emulator::tma_store(&map, from, 4, c, false);
}
__forceinline__ void tma_reduce_add_2d(const TensorMap& map, const void* from, int c0, int c1) {
  const int c[] = {c0, c1};
  emulator::tma_store(&map, from, 2, c, true);
}
__forceinline__ void bulk_commit() { emulator::bulk_commit(); }
template <int pending>
__forceinline__ void bulk_wait() {
  emulator::bulk_wait(pending, false);
}
template <int pending>
__forceinline__ void bulk_wait_read() {
  emulator::bulk_wait(pending, true);
}

template <bool transposed>
__forceinline__ void stmatrix_x4(void* row, const uint32_t (&r)[4]) {
  emulator::stmatrix(row, r, 4, transposed);
}
template <bool transposed>
__forceinline__ void stmatrix_x2(void* row, const uint32_t (&r)[2]) {
  emulator::stmatrix(row, r, 2, transposed);
}

template <int registers>
__forceinline__ void registers_increase() {
  emulator::set_registers(registers);
}
template <int registers>
__forceinline__ void registers_decrease() {
  emulator::set_registers(registers);
}

// --- sm_90: wgmma

enum class Swizzle : int { none = 0, bytes128 = 1, bytes64 = 2, bytes32 = 3 };

__forceinline__ uint64_t matrix_descriptor(const void* p, uint32_t leading_bytes,
                                           uint32_t stride_bytes, Swizzle swizzle) {
  return uint64_t((shared_address(p) & 0x3ffff) >> 4) |
         uint64_t((leading_bytes & 0x3ffff) >> 4) << 16 |
         uint64_t((stride_bytes & 0x3ffff) >> 4) << 32 | uint64_t(swizzle) << 62;
}

__forceinline__ void wgmma_fence() { emulator::wgmma_fence(); }
__forceinline__ void wgmma_commit() { emulator::wgmma_commit(); }
template <int pending>
__forceinline__ void wgmma_wait() {
  emulator::wgmma_wait(pending);
}

// d[64 x 2R] += a b, both operands in shared memory; accumulate false: d = a b.
template <bool a_mn_major, bool b_mn_major, int R>
__forceinline__ void wgmma_ss(float (&d)[R], uint64_t a, uint64_t b, bool accumulate) {
  emulator::wgmma(d, R * 2, nullptr, a, b, accumulate, a_mn_major, b_mn_major);
}
// The same with a in registers.
template <bool b_mn_major, int R>
__forceinline__ void wgmma_rs(float (&d)[R], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  emulator::wgmma(d, R * 2, a, 0, b, accumulate, false, b_mn_major);
}

// --- cooperative grids

__forceinline__ void grid_barrier() { emulator::grid_barrier(); }

}  // namespace ptx
