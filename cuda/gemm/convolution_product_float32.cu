// float32 products of convolutions.
#include "convolution_product.cuh"

namespace cuda {

template void forward_product<float>(void*, Dtype, const float*, const float*,
                                     const ConvolutionShape&, const Epilogue&, Stream&);
template void input_gradient_product<float>(float*, Dtype, const float*, const float*,
                                            const ConvolutionShape&, Stream&);
template void weight_gradient_product<float>(float*, const float*, const float*,
                                             const ConvolutionShape&, Stream&);

}  // namespace cuda
