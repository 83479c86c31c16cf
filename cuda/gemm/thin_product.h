// Products with few rows, as in decoding.
#pragma once
#include "epilogue.cuh"

namespace cuda {

// bf16, both operands K-major. False, and nothing launched, if the product has too many rows or its
// operands are not aligned to 16 bytes.
bool thin_product(const Operand& a, const Operand& b, int k, const Finish& f, Stream& stream);

}  // namespace cuda
