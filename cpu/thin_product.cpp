// See thin_product.h. The lanes of a vector add up their shares of an element along k, where both
// matrices lie in order. Four rows of b meet up to six of a at a time, so that what is loaded is
// used again. Bound by reading b for few rows, by arithmetic for more.
#include "thin_product.h"

#include <algorithm>
#include <cstring>

#include "simd.h"

namespace cpu {
namespace {

template <int kFloats>
struct Vector {
  typedef float Type __attribute__((vector_size(kFloats * 4), aligned(4), may_alias));
};
using V4 = Vector<4>::Type;

// The sum of a vector's quarters, halves or, where it has four floats, the vector itself.
SIMD_INLINE void fold(V4& out, const Vector<4>::Type& v) { out = v; }
SIMD_INLINE void fold(V4& out, const Vector<8>::Type& v) {
  out = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
SIMD_INLINE void fold(V4& out, const Vector<16>::Type& v) {
  fold(out, __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
}

// The sums of four vectors' lanes.
template <class V>
SIMD_INLINE void add_lanes(V4& sums, const V* v) {
  V4 a, b, c, d;
  fold(a, v[0]);
  fold(b, v[1]);
  fold(c, v[2]);
  fold(d, v[3]);
  const V4 ab =
      __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const V4 cd =
      __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
  sums = __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

// sums += a piece of R rows of a, kFloats wide, times that of four rows of b. Fetches rows first ..
// last of the next four of b ahead.
template <int kFloats, int R>
SIMD_INLINE void add_piece(typename Vector<kFloats>::Type (*sums)[4], const float* a, int64_t lda,
                           const float* b, int64_t ldb, int first, int last) {
  using V = typename Vector<kFloats>::Type;
#pragma GCC unroll 4
  for (int j = first; j < last; j++) __builtin_prefetch(b + (4 + j) * ldb, 0, 2);
  V y[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) y[j] = *reinterpret_cast<const V*>(b + j * ldb);
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    const V x = *reinterpret_cast<const V*>(a + r * lda);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) sums[r][j] += x * y[j];
  }
}

// R rows of a from `row` on, four of b from `column` on or as many as there are.
template <int kFloats, int R>
SIMD_INLINE void multiply_tile(const ThinProduct& p, int64_t row, int64_t column, int first,
                               int last) {
  using V = typename Vector<kFloats>::Type;
  const int columns = static_cast<int>(std::min<int64_t>(4, p.n - column));
  const float* a = p.a + row * p.lda;
  const float* b = p.b + column * p.ldb;
  V sums[R][4] = {};
  const int64_t whole = columns == 4 ? p.k / kFloats * kFloats : 0;
  if (first == 0 && last == 4) {  // unrolled: a step of decoding waits for b alone
    for (int64_t l = 0; l < whole; l += kFloats)
      add_piece<kFloats, R>(sums, a + l, p.lda, b + l, p.ldb, 0, 4);
  } else {
    for (int64_t l = 0; l < whole; l += kFloats)
      add_piece<kFloats, R>(sums, a + l, p.lda, b + l, p.ldb, first, last);
  }
  // What is left over, with zeros beside it.
  for (int64_t l = whole; l < p.k; l += kFloats) {
    const size_t bytes = sizeof(float) * std::min<int64_t>(kFloats, p.k - l);
    float x[R * kFloats] = {}, y[4 * kFloats] = {};
    for (int r = 0; r < R; r++) std::memcpy(x + r * kFloats, a + r * p.lda + l, bytes);
    for (int j = 0; j < columns; j++) std::memcpy(y + j * kFloats, b + j * p.ldb + l, bytes);
    add_piece<kFloats, R>(sums, x, kFloats, y, kFloats, 0, 0);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    V4 totals;
    add_lanes(totals, sums[r]);
    float* c = p.c + (row + r) * p.ldc + column;
    for (int j = 0; j < columns; j++) c[j] = p.accumulate ? c[j] + totals[j] : totals[j];
  }
}

// The rows of a in blocks of nearly the same size, at most `kMost`; the piece of b stays near.
template <int kFloats, int kMost>
SIMD_INLINE void multiply(const ThinProduct& p) {
  const int64_t blocks = (p.m + kMost - 1) / kMost;
  for (int64_t column = 0; column < p.n; column += 4)
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t row = p.m * block / blocks;
      // Each block its share: reading and arithmetic go on at the same time.
      const int first = static_cast<int>((4 * block + blocks - 1) / blocks);
      const int last = static_cast<int>((4 * (block + 1) + blocks - 1) / blocks);
      switch (p.m * (block + 1) / blocks - row) {
        case 1:
          multiply_tile<kFloats, 1>(p, row, column, first, last);
          break;
        case 2:
          multiply_tile<kFloats, 2>(p, row, column, first, last);
          break;
        case 3:
          multiply_tile<kFloats, 3>(p, row, column, first, last);
          break;
        case 4:
          if constexpr (kMost >= 4) multiply_tile<kFloats, 4>(p, row, column, first, last);
          break;
        case 5:
          if constexpr (kMost >= 5) multiply_tile<kFloats, 5>(p, row, column, first, last);
          break;
        default:
          if constexpr (kMost >= 6) multiply_tile<kFloats, 6>(p, row, column, first, last);
      }
    }
}

// As many sums as there are registers for; see small_product.cpp for why these are no SIMD clones.
void multiply_128(const ThinProduct& p) { multiply<4, 3>(p); }
#ifdef __x86_64__
__attribute__((target("arch=x86-64-v4"))) void multiply_512(const ThinProduct& p) {
  multiply<16, 6>(p);
}
__attribute__((target("arch=x86-64-v3"))) void multiply_256(const ThinProduct& p) {
  multiply<8, 3>(p);
}

const auto multiply_best = __builtin_cpu_supports("x86-64-v4")   ? multiply_512
                           : __builtin_cpu_supports("x86-64-v3") ? multiply_256
                                                                 : multiply_128;
#else
const auto multiply_best = multiply_128;
#endif

}  // namespace

void multiply_thin(const ThinProduct& product) { multiply_best(product); }

}  // namespace cpu
