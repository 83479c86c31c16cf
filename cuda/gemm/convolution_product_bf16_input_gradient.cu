// bf16 products of convolutions: gradient of the input.
#include "convolution_product.cuh"

namespace cuda {

template void input_gradient_product<bf16>(bf16*, Dtype, const bf16*, const bf16*,
                                           const ConvolutionShape&, Stream&);

}  // namespace cuda
