// Products of a few rows with a weight as it is stored, as in a step of decoding. A library first
// copies the weight into an order of its own, which costs as much as multiplying some twenty rows.
#pragma once
#include <cstdint>

namespace cpu {

// c [m, n] = a [m, k] b [n, k]^T, or += with `accumulate`. Rows of a, b and c lie lda, ldb and ldc
// elements apart.
struct ThinProduct {
  float* c;
  int64_t ldc;
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  int64_t m, n, k;
  bool accumulate = false;
};

// On the calling thread. An element comes out the same for any m and n.
void multiply_thin(const ThinProduct& product);

}  // namespace cpu
