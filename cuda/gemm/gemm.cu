// Products of two plain matrices: which kernels run.
#include "../../binding/errors.h"
#include "../runtime/gpu.h"
#include "gemm.h"
#include "matrix_product.h"
#include "sm90.h"
#include "thin_product.h"

namespace cuda {

namespace {

template <class T>
void dispatch(const Operand& a, const Operand& b, int k, const Finish& f, Stream& stream) {
  if (a.k_major && b.k_major) return matrix_product<T, true, true>(a, b, k, f, stream);
  if (a.k_major) return matrix_product<T, true, false>(a, b, k, f, stream);
  if (b.k_major) return matrix_product<T, false, true>(a, b, k, f, stream);
  matrix_product<T, false, false>(a, b, k, f, stream);
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void gemm(void* out, Dtype out_dtype, int64_t out_stride, int m, int n, int k, Dtype operand_dtype,
          const Operand& a, const Operand& b, const Epilogue& epilogue, Stream& stream) {
  if (m == 0 || n == 0) return;
  const Finish f = make_finish(out, out_dtype, out_stride, m, n, epilogue);
  if (operand_dtype == Dtype::float32) return dispatch<float>(a, b, k, f, stream);
  if (operand_dtype != Dtype::bfloat16) throw InternalError("gemm: expected float32 or bfloat16");
  if (a.k_major && b.k_major && thin_product(a, b, k, f, stream)) return;
  if (gpu(stream).hopper() &&
      gemm_sm90(out, out_dtype, out_stride, m, n, k, a, b, epilogue, stream))
    return;
  dispatch<bf16>(a, b, k, f, stream);
}

}  // namespace cuda
