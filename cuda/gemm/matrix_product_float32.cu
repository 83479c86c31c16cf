// float32 products of matrices, for every pair of majors.
#include "matrix_product.cuh"

namespace cuda {

template void matrix_product<float, true, true>(const Operand&, const Operand&, int, const Finish&,
                                                Stream&);
template void matrix_product<float, true, false>(const Operand&, const Operand&, int, const Finish&,
                                                 Stream&);
template void matrix_product<float, false, false>(const Operand&, const Operand&, int,
                                                  const Finish&, Stream&);
template void matrix_product<float, false, true>(const Operand&, const Operand&, int, const Finish&,
                                                 Stream&);

}  // namespace cuda
