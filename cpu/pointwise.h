// Convolutions of single pixels as matrix products on the processor's matrix unit; oneDNN's, on
// vectors, are in convolution.cpp.
#pragma once
#include <cstdint>

namespace cpu {

// Pixels of C channels, of which `used` are read, become pixels of O.
struct PointwiseSizes {
  int64_t pixels;    // of all images
  int64_t of_image;  // of one
  int64_t C, used, O;
};

// Whether this is faster than oneDNN, by the size of one image: results must not depend on how many
// lie in a batch.
bool suits_pointwise(const PointwiseSizes& sizes);

// out = activation(x weight^T + bias + residual); bias and residual may be null.
void convolve_pointwise(const PointwiseSizes& sizes, float* out, const float* x,
                        const float* weight, const float* bias, const float* residual,
                        int activation);

// Of the gradient g before the activation; each result may be null. Channels of x that are not used
// keep what is in dx.
void pointwise_gradients(const PointwiseSizes& sizes, float* dx, float* dweight, const float* g,
                         const float* x, const float* weight);

}  // namespace cpu
