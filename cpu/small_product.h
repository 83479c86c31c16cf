// Products of matrices so small that packing them, as a library does, costs more than multiplying
// them.
#pragma once
#include <cstdint>

namespace cpu {

// c [m, n] = a [m, k] b [k, n], or += with `accumulate`. a(i, l) is a[i * row + l * column]: either
// orientation is as fast. Rows of b and c are ldb and ldc apart and start at multiples of 64 bytes;
// m in fours, n in sixteens.
struct SmallProduct {
  float* c;
  int ldc;
  const float* a;
  int row, column;
  const float* b;
  int ldb;
  int m, n, k;
  bool accumulate = false;
};
void multiply_small(const SmallProduct& product);

}  // namespace cpu
