// Convolutions of 3 x 3 with a weight that stays as it is, by Winograd's minimal filtering
// F(4 x 4, 3 x 3): a quarter of the multiplications, sums in another order.
// Source: Lavin and Gray 2016, arXiv:1509.09308, section 4.
#pragma once
#include "../binding/device.h"

namespace cpu {

// x [B, H, W, C] and out [B, H, W, O]; one row and column of padding around, steps of one.
struct WinogradSizes {
  int B, H, W, C, O;
};

// Whether it is the faster way.
bool suits_winograd(const WinogradSizes& sizes);

// out = activation(x * weight + bias + residual), all float32; bias and residual may be null.
// weight [O, 3, 3, C]; `constant`: see constant_weight.h.
void convolve_winograd(const WinogradSizes& sizes, float* out, const float* x, const float* weight,
                       const float* bias, const float* residual, int activation, int constant,
                       Stream& stream);

}  // namespace cpu
