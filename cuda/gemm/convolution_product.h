// The convolution products for one dtype; convolution_product.cu chooses. All channels of x count.
#pragma once
#include "gemm.h"

namespace cuda {

template <class T>
void forward_product(void* out, Dtype out_dtype, const T* x, const T* weight,
                     const ConvolutionShape& shape, const Epilogue& epilogue, Stream& stream);
template <class T>
void input_gradient_product(T* dx, Dtype dtype, const T* dout, const T* weight,
                            const ConvolutionShape& shape, Stream& stream);
template <class T>
void weight_gradient_product(float* dweight, const T* dout, const T* x,
                             const ConvolutionShape& shape, Stream& stream);

}  // namespace cuda
