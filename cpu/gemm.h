// Row-major matrix products in float32, by oneDNN, or on the matrix unit where it is faster
// (split_product.h). Inside a parallel region a product runs on the calling thread, by oneDNN.
#pragma once
#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <string>

#include "../binding/errors.h"
#include "split_product.h"

namespace cpu {

enum class Transpose : char { no = 'N', yes = 'T' };

// c [m, n] = op(a) [m, k] op(b) [k, n] + beta c. lda, ldb, ldc: elements between rows as stored.
// Gives a status that `check_gemm` must see outside any parallel region, where an exception cannot
// leave.
[[nodiscard]] inline int gemm(Transpose a_as, Transpose b_as, int64_t m, int64_t n, int64_t k,
                              const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
                              float* c, int64_t ldc) {
  if (m == 0 || n == 0) return dnnl_success;
  if (k == 0) {
    if (beta == 0.0f)
      for (int64_t row = 0; row < m; row++) std::fill_n(c + row * ldc, n, 0.0f);
    return dnnl_success;
  }
  if ((beta == 0.0f || beta == 1.0f) && pays_to_split(m, n, k) && !omp_in_parallel()) {
    multiply_split({c,
                    ldc,
                    {a, lda, a_as == Transpose::no},
                    {b, ldb, b_as == Transpose::yes},
                    m,
                    n,
                    k,
                    beta != 0.0f});
    return dnnl_success;
  }
  return dnnl_sgemm(static_cast<char>(a_as), static_cast<char>(b_as), m, n, k, 1.0f, a, lda, b, ldb,
                    beta, c, ldc);
}

inline void check_gemm(int status) {
  if (status == dnnl_out_of_memory)
    throw OutOfMemoryError("out of memory in a matrix product. Use a smaller batch size");
  if (status != dnnl_success)
    throw InternalError("oneDNN's matrix product failed with status " + std::to_string(status));
}

}  // namespace cpu
