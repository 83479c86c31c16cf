// bf16 products of matrices: A MN-major, B K-major.
#include "matrix_product.cuh"

namespace cuda {

template void matrix_product<bf16, false, true>(const Operand&, const Operand&, int, const Finish&,
                                                Stream&);

}  // namespace cuda
