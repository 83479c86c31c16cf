// Hopper's warpgroup matrix product: d[64 x N] += a[64 x 16] b[16 x N], N = 2 x accumulators per
// thread. Operands lie in shared memory, described by a 64-bit word, or (a) in registers. The rest
// of PTX is ptx.cuh's. On a CPU: the emulator's device/ptx_emulated.cuh.
#pragma once
#include "ptx.cuh"

#ifndef CAPTIONEER_EMULATED
#ifdef CAPTIONEER_HOPPER

namespace ptx {

// 128 bytes: 8 rows of 64 bf16; see PTX ISA, "Shared memory matrix layout".
enum class Swizzle : int { none = 0, bytes128 = 1, bytes64 = 2, bytes32 = 3 };

DEVICE uint64_t matrix_descriptor(const void* p, uint32_t leading_bytes, uint32_t stride_bytes,
                                  Swizzle swizzle) {
  return uint64_t((shared_address(p) & 0x3ffff) >> 4) |
         uint64_t((leading_bytes & 0x3ffff) >> 4) << 16 |
         uint64_t((stride_bytes & 0x3ffff) >> 4) << 32 | uint64_t(swizzle) << 62;
}

DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int pending>
DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

// Accumulators are registers that the compiler may read or move before the wait, unaware of the
// product in flight. Before the first wgmma on them and after the wait for the last.
template <int R>
DEVICE void wgmma_operand_fence(float (&d)[R]) {
#pragma unroll
  for (int i = 0; i < R; i++) asm volatile("" : "+f"(d[i])::"memory");
}

// The accumulators' names in the text ("%30,%31") and the operands behind them (d[30], d[31]), by
// tens: t is the number without its last digit, so nothing for the first ten.
#define NAMES_2(t) "%" #t "0,%" #t "1"
#define NAMES_4(t) NAMES_2(t) ",%" #t "2,%" #t "3"
#define NAMES_6(t) NAMES_4(t) ",%" #t "4,%" #t "5"
#define NAMES_8(t) NAMES_6(t) ",%" #t "6,%" #t "7"
#define NAMES_10(t) NAMES_8(t) ",%" #t "8,%" #t "9"
#define NAMES_30 NAMES_10() "," NAMES_10(1) "," NAMES_10(2)
#define NAMES_60 NAMES_30 "," NAMES_10(3) "," NAMES_10(4) "," NAMES_10(5)
#define NAMES_90 NAMES_60 "," NAMES_10(6) "," NAMES_10(7) "," NAMES_10(8)
#define NAMES_120 NAMES_90 "," NAMES_10(9) "," NAMES_10(10) "," NAMES_10(11)
#define SUMS_2(t) "+f"(d[t##0]), "+f"(d[t##1])
#define SUMS_4(t) SUMS_2(t), "+f"(d[t##2]), "+f"(d[t##3])
#define SUMS_6(t) SUMS_4(t), "+f"(d[t##4]), "+f"(d[t##5])
#define SUMS_8(t) SUMS_6(t), "+f"(d[t##6]), "+f"(d[t##7])
#define SUMS_10(t) SUMS_8(t), "+f"(d[t##8]), "+f"(d[t##9])
#define SUMS_30 SUMS_10(), SUMS_10(1), SUMS_10(2)
#define SUMS_60 SUMS_30, SUMS_10(3), SUMS_10(4), SUMS_10(5)
#define SUMS_90 SUMS_60, SUMS_10(6), SUMS_10(7), SUMS_10(8)
#define SUMS_120 SUMS_90, SUMS_10(9), SUMS_10(10), SUMS_10(11)

// wgmma_ss: both operands by descriptor. transposed_a, transposed_b: 0 for K-major, 1 for MN-major.
// wgmma_rs: a as four 16 x 16 fragments like mma_16816's, one a warp. Without `accumulate` d is
// overwritten. p0 ..: numbers of the operands after the sums.
#define DEFINE_WGMMA(n, sums, NAMES, SUMS, p0, p1, p2, p3, p4, p5, p6)                       \
  template <int transposed_a, int transposed_b>                                              \
  DEVICE void wgmma_ss(float(&d)[sums], uint64_t a, uint64_t b, int accumulate) {            \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #p2                                      \
                 ", 0; wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" NAMES     \
                 "}, %" #p0 ", %" #p1 ", p, 1, 1, %" #p3 ", %" #p4 "; }"                     \
                 : SUMS                                                                      \
                 : "l"(a), "l"(b), "r"(accumulate), "n"(transposed_a), "n"(transposed_b));   \
  }                                                                                          \
  template <int transposed_b>                                                                \
  DEVICE void wgmma_rs(float(&d)[sums], const uint32_t(&a)[4], uint64_t b, int accumulate) { \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #p5                                      \
                 ", 0; wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" NAMES     \
                 "}, {%" #p0 ",%" #p1 ",%" #p2 ",%" #p3 "}, %" #p4 ", p, 1, 1, %" #p6 "; }"  \
                 : SUMS                                                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate),      \
                   "n"(transposed_b));                                                       \
  }
#define PLUS(...) __VA_ARGS__

DEFINE_WGMMA(8, 4, NAMES_4(), SUMS_4(), 4, 5, 6, 7, 8, 9, 10)
DEFINE_WGMMA(16, 8, NAMES_8(), SUMS_8(), 8, 9, 10, 11, 12, 13, 14)
DEFINE_WGMMA(32, 16, NAMES_10() "," NAMES_6(1), PLUS(SUMS_10(), SUMS_6(1)), 16, 17, 18, 19, 20, 21,
             22)
DEFINE_WGMMA(64, 32, NAMES_30 "," NAMES_2(3), PLUS(SUMS_30, SUMS_2(3)), 32, 33, 34, 35, 36, 37, 38)
DEFINE_WGMMA(96, 48, NAMES_30 "," NAMES_10(3) "," NAMES_8(4), PLUS(SUMS_30, SUMS_10(3), SUMS_8(4)),
             48, 49, 50, 51, 52, 53, 54)
DEFINE_WGMMA(128, 64, NAMES_60 "," NAMES_4(6), PLUS(SUMS_60, SUMS_4(6)), 64, 65, 66, 67, 68, 69, 70)
DEFINE_WGMMA(192, 96, NAMES_90 "," NAMES_6(9), PLUS(SUMS_90, SUMS_6(9)), 96, 97, 98, 99, 100, 101,
             102)
DEFINE_WGMMA(256, 128, NAMES_120 "," NAMES_8(12), PLUS(SUMS_120, SUMS_8(12)), 128, 129, 130, 131,
             132, 133, 134)

#undef DEFINE_WGMMA
#undef PLUS
#undef NAMES_2
#undef NAMES_4
#undef NAMES_6
#undef NAMES_8
#undef NAMES_10
#undef NAMES_30
#undef NAMES_60
#undef NAMES_90
#undef NAMES_120
#undef SUMS_2
#undef SUMS_4
#undef SUMS_6
#undef SUMS_8
#undef SUMS_10
#undef SUMS_30
#undef SUMS_60
#undef SUMS_90
#undef SUMS_120

}  // namespace ptx
#endif  // CAPTIONEER_HOPPER
#else
namespace ptx {
template <int R>
DEVICE void wgmma_operand_fence(float (&)[R]) {}
}  // namespace ptx
#endif  // CAPTIONEER_EMULATED
