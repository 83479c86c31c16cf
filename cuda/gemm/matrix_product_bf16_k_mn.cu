// bf16 products of matrices: A K-major, B MN-major (gradient of a linear layer's input).
#include "matrix_product.cuh"

namespace cuda {

template void matrix_product<bf16, true, false>(const Operand&, const Operand&, int, const Finish&,
                                                Stream&);

}  // namespace cuda
