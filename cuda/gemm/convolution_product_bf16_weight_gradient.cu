// bf16 products of convolutions: gradient of the weight.
#include "convolution_product.cuh"

namespace cuda {

template void weight_gradient_product<bf16>(float*, const bf16*, const bf16*,
                                            const ConvolutionShape&, Stream&);

}  // namespace cuda
