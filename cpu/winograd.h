// Convolutions of 3 x 3 with a weight that stays as it is, by Winograd's minimal filtering: less
// than half of the multiplications, sums in another order. oneDNN does it on blocked images; here
// they are brought there and back. Which convolutions are worth it: winograd().
// Source: Lavin and Gray 2016, arXiv:1509.09308.
#pragma once
#include <memory>

#include "../binding/device.h"
#include "onednn.h"

namespace cpu {

// x [B, H, W, C] and out [B, H, W, O]; one row and column of padding around, steps of one.
struct WinogradSizes {
  int B, H, W, C, O;
};

class Winograd {
 public:
  // Null where oneDNN has no such primitive: older processors, channels that are no multiple of 16,
  // oneDNN 3.
  static std::unique_ptr<Winograd> create(const WinogradSizes& sizes);

  // out = activation(x * weight + bias + residual), all float32; bias and residual may be null.
  // weight [O, 3, 3, C]; `constant`: see constant_weight.h.
  void run(float* out, const float* x, const float* weight, const float* bias,
           const float* residual, int activation, int constant, Stream& stream);

 private:
  Winograd(const WinogradSizes& sizes, const dnnl::convolution_forward::primitive_desc& desc);
  void pack(void* to, const float* weight) const;

  WinogradSizes sizes_;
  onednn::Desc packed_;
  onednn::Runner convolution_;
};

}  // namespace cpu
