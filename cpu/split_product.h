// Products of float32 matrices on the processor's matrix unit, where it has one (Intel AMX). The
// unit multiplies bfloat16: each number becomes a sum of three of them (split_panels.h).
#pragma once
#include <cstdint>
#include <functional>

#include "part.h"

namespace cpu {

// A matrix [rows, k] as it is stored: element (i, l) is data[i * stride + l] where k lies `along` a
// row, data[l * stride + i] where not.
struct Operand {
  const float* data;
  int64_t stride;
  bool along;
};

// c [m, n] = a [m, k] b [n, k]^T, or += with `accumulate`; rows of c lie ldc elements apart.
struct SplitProduct {
  float* c;
  int64_t ldc;
  Operand a, b;
  int64_t m, n, k;
  bool accumulate = false;
};

// Whether multiply_split is there, and faster than a library for products of that size.
bool pays_to_split(int64_t m, int64_t n, int64_t k);
// Whether it is to be taken for products of every size.
bool always_split();

// On all threads; calls finish(part) on one of them for each part of c that is there. An element
// comes out the same for any m and n, as exact as from float32 products: of the nine products of
// pieces the three below 2^-22 are left out. Infinities become NaN. Throws OutOfMemoryError.
void multiply_split(const SplitProduct& product,
                    const std::function<void(const Part&)>& finish = nullptr);

}  // namespace cpu
