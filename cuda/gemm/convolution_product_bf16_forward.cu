// bf16 products of convolutions: forward.
#include "convolution_product.cuh"

namespace cuda {

template void forward_product<bf16>(void*, Dtype, const bf16*, const bf16*, const ConvolutionShape&,
                                    const Epilogue&, Stream&);

}  // namespace cuda
