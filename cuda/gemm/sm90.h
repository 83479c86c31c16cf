// The functions of gemm.h on Hopper's own pipeline, for bf16 operands. Each returns false, and has
// launched nothing, when TMA cannot address an operand (16-byte aligned rows) or a size is out of
// its range; another pipeline must do it then.
#pragma once
#include "gemm.h"

namespace cuda {

bool gemm_sm90(void* out, Dtype out_dtype, int64_t out_stride, int m, int n, int k,
               const Operand& a, const Operand& b, const Epilogue& epilogue, Stream& stream);

// All channels of x count.
bool convolution_product_sm90(void* out, const void* x, const void* weight,
                              const ConvolutionShape& shape, const Epilogue& epilogue,
                              Stream& stream);
bool convolution_input_gradient_sm90(void* dx, const void* dout, const void* weight,
                                     const ConvolutionShape& shape, Stream& stream);
bool convolution_weight_gradient_sm90(float* dweight, const void* dout, const void* x,
                                      const ConvolutionShape& shape, Stream& stream);

}  // namespace cuda
