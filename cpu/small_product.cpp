// See small_product.h. A tile of c stays in registers while k runs: with 512-bit vectors 8 x 32,
// which reaches about 95 % of the processor's peak from k = 32 on. Bound by arithmetic.
#include "small_product.h"

namespace cpu {
namespace {

// Floats of b that are asked for before they are needed: without, a b that comes from memory is
// waited for at every page of 4 KiB.
constexpr int kAhead = 512;

// GCC drops the attribute from an alias whose size depends on a template's parameter, but not from
// a member.
template <int kBytes>
struct Vector {
  typedef float Type __attribute__((vector_size(kBytes), may_alias));
};

// One tile: R rows of W vectors.
template <int kBytes, int R, int W>
inline __attribute__((always_inline)) void multiply_tile(const SmallProduct& p, int i, int j) {
  constexpr int kFloats = kBytes / 4;
  using V = typename Vector<kBytes>::Type;
  float* c = p.c + int64_t{i} * p.ldc + j;
  const float* a = p.a + int64_t{i} * p.row;
  const float* b = p.b + j;
  V sums[R][W];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int w = 0; w < W; w++)
      sums[r][w] =
          p.accumulate ? *reinterpret_cast<const V*>(c + int64_t{r} * p.ldc + w * kFloats) : V{};
  const int64_t row = p.row;
  for (int l = 0; l < p.k; l++) {
    V x[W];
#pragma GCC unroll 4
    for (int w = 0; w < W; w++) __builtin_prefetch(b + w * kFloats + kAhead);
#pragma GCC unroll 4
    for (int w = 0; w < W; w++) x[w] = *reinterpret_cast<const V*>(b + w * kFloats);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int w = 0; w < W; w++) sums[r][w] += a[r * row] * x[w];
    a += p.column;
    b += p.ldb;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int w = 0; w < W; w++)
      *reinterpret_cast<V*>(c + int64_t{r} * p.ldc + w * kFloats) = sums[r][w];
}

template <int kBytes, int R, int W>
inline __attribute__((always_inline)) void multiply_rows(const SmallProduct& p, int i) {
  constexpr int kWide = W * kBytes / 4;
  int j = 0;
  for (; j + kWide <= p.n; j += kWide) multiply_tile<kBytes, R, W>(p, i, j);
  if constexpr (kWide > 16)
    if (j < p.n) multiply_tile<kBytes, R, 16 / (kBytes / 4)>(p, i, j);
}

void multiply_128(const SmallProduct& p) {
  for (int i = 0; i < p.m; i += 2) multiply_rows<16, 2, 4>(p, i);
}

#ifdef __x86_64__
// Functions of their own rather than SIMD clones, because the width of the vectors is part of the
// code.
__attribute__((target("arch=x86-64-v4"))) void multiply_512(const SmallProduct& p) {
  int i = 0;
  for (; i + 8 <= p.m; i += 8) multiply_rows<64, 8, 2>(p, i);
  if (i < p.m) multiply_rows<64, 4, 2>(p, i);
}

__attribute__((target("arch=x86-64-v3"))) void multiply_256(const SmallProduct& p) {
  for (int i = 0; i < p.m; i += 4) multiply_rows<32, 4, 2>(p, i);
}

const auto multiply_best = __builtin_cpu_supports("x86-64-v4")   ? multiply_512
                           : __builtin_cpu_supports("x86-64-v3") ? multiply_256
                                                                 : multiply_128;
#else
const auto multiply_best = multiply_128;
#endif

}  // namespace

void multiply_small(const SmallProduct& product) { multiply_best(product); }

}  // namespace cpu
