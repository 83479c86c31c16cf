// bf16 products of matrices: both operands K-major (linear forward).
#include "matrix_product.cuh"

namespace cuda {

template void matrix_product<bf16, true, true>(const Operand&, const Operand&, int, const Finish&,
                                               Stream&);

}  // namespace cuda
