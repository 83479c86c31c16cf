// Products of two plain matrices for one dtype and one pair of majors; gemm.cu chooses among them.
#pragma once
#include "epilogue.cuh"

namespace cuda {

template <class T, bool a_k_major, bool b_k_major>
void matrix_product(const Operand& a, const Operand& b, int k, const Finish& f, Stream& stream);

}  // namespace cuda
