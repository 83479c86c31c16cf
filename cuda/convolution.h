// Convolutions of any grouping without what surrounds them: for convolution.cu, which defines them,
// and convolution_batch_norm.cu. Depthwise ones are depthwise.cu's, those of one group gemm/'s.
#pragma once
#include <initializer_list>

#include "gemm/gemm.h"

namespace cuda {

// dtype: of every tensor but weight gradients.
struct Convolution {
  ConvolutionShape shape;
  int groups;
  Dtype dtype;
};
Convolution describe_convolution(Tensor x, Tensor weight, Tensor out, int stride, int pad_top,
                                 int pad_left, int groups);

// Moments of each channel over tiles of rows: [tiles, channels, 2] means and sums of squared
// deviations, and the rows in each tile (null: kStatisticRows, the last one shorter).
struct MomentTiles {
  const float* values = nullptr;
  const float* counts = nullptr;
  int64_t tiles = 0;
};

void convolve(void* out, const void* x, const void* weight, const Convolution& sizes,
              const Epilogue& epilogue, Stream& stream);
// The product alone, and moments of its float32 sums where its kernel has them at hand (else no
// tiles).
MomentTiles convolve_with_moments(void* out, const void* x, const void* weight,
                                  const Convolution& sizes, Stream& stream);
void convolve_input_gradient(void* dx, const void* dout, const void* weight,
                             const Convolution& sizes, Stream& stream);
void convolve_weight_gradient(float* dweight, const void* dout, const void* x,
                              const Convolution& sizes, Stream& stream);

// --- depthwise.cu

// Whether its kernels take these sizes and addresses; the others are convolution.cu's.
bool depthwise_takes(const Convolution& sizes, std::initializer_list<const void*> data);
void depthwise(void* out, const void* x, const void* weight, const Convolution& sizes,
               const Epilogue& epilogue, Stream& stream);
MomentTiles depthwise_with_moments(void* out, const void* x, const void* weight,
                                   const Convolution& sizes, Stream& stream);
void depthwise_input_gradient(void* dx, const void* dout, const void* weight,
                              const Convolution& sizes, Stream& stream);
void depthwise_weight_gradient(float* dweight, const void* dout, const void* x,
                               const Convolution& sizes, Stream& stream);

}  // namespace cuda
