// matrix_product's body, for the files that each compile it for some of its template arguments.
#pragma once
#include "matrix_product.h"
#include "run.cuh"

namespace cuda {

template <class T, bool a_k_major, bool b_k_major>
void matrix_product(const Operand& a, const Operand& b, int k, const Finish& f, Stream& stream) {
  using A = std::conditional_t<a_k_major, KMajorMatrix<T>, MnMajorMatrix<T>>;
  using B = std::conditional_t<b_k_major, KMajorMatrix<T>, MnMajorMatrix<T>>;
  const Product<A, B> problem{{static_cast<const T*>(a.data), a.stride, f.m, k},
                              {static_cast<const T*>(b.data), b.stride, f.n, k},
                              k,
                              k};
  // The size of the contiguous axis and the stride of each.
  const Granule granule =
      granule_of<T>(a.data, b.data, a_k_major ? k : f.m, a.stride, b_k_major ? k : f.n, b.stride);
  run_product(problem, k, f, granule, stream);
}

}  // namespace cuda
