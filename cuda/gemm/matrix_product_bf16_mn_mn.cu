// bf16 products of matrices: both operands MN-major (gradient of a linear layer's weight).
#include "matrix_product.cuh"

namespace cuda {

template void matrix_product<bf16, false, false>(const Operand&, const Operand&, int, const Finish&,
                                                 Stream&);

}  // namespace cuda
