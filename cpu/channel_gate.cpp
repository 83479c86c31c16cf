// Channels scaled by the sigmoid of a gate for each image and channel: the end of a
// squeeze-and-excitation block (Hu et al. 2017, arXiv:1709.01507), and its gradient. Bound by
// memory.
#include <algorithm>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Channels of one piece of work: images and pieces are shared out among the threads.
constexpr int kPiece = 64;

// `count` channels of all pixels of an image; pixels are `stride` apart.
SIMD void gate_piece(float* out, const float* x, const float* gate, int pixels, int64_t stride,
                     int count) {
  float factors[kPiece];
  for (int c = 0; c < count; c++) factors[c] = vsigmoid(gate[c]);
  for (int i = 0; i < pixels; i++)
    for (int c = 0; c < count; c++) out[i * stride + c] = x[i * stride + c] * factors[c];
}

// dx and dgate may be null.
SIMD void gate_backward_piece(float* dx, float* dgate, const float* dout, const float* x,
                              const float* gate, int pixels, int64_t stride, int count) {
  float factors[kPiece], sums[kPiece] = {};
  for (int c = 0; c < count; c++) factors[c] = vsigmoid(gate[c]);
  for (int i = 0; i < pixels; i++) {
    const int64_t at = i * stride;
    if (dx)
      for (int c = 0; c < count; c++) dx[at + c] = dout[at + c] * factors[c];
    if (dgate)
      for (int c = 0; c < count; c++) sums[c] += dout[at + c] * x[at + c];
  }
  if (dgate)
    for (int c = 0; c < count; c++) dgate[c] = sums[c] * factors[c] * (1.0f - factors[c]);
}

// Calls body(first element of the piece in an image's map, in its gate, channels) in parallel.
template <class Body>
void each_piece(const Tensor& x, Body body) {
  const int B = x.shape[0], C = x.shape[3];
  const int64_t image = static_cast<int64_t>(x.shape[1]) * x.shape[2] * C;
#pragma omp parallel for schedule(static) collapse(2)
  for (int b = 0; b < B; b++)
    for (int c = 0; c < C; c += kPiece)
      body(b * image + c, static_cast<int64_t>(b) * C + c, std::min(kPiece, C - c));
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void channel_gate(Tensor out, Tensor x, Tensor gate, Stream&) {
  each_piece(x, [&](int64_t at, int64_t channel, int count) {
    gate_piece(out.f32() + at, x.f32() + at, gate.f32() + channel, x.shape[1] * x.shape[2],
               x.shape[3], count);
  });
}

void channel_gate_backward(Tensor dx, Tensor dgate, Tensor dout, Tensor x, Tensor gate, Stream&) {
  each_piece(x, [&](int64_t at, int64_t channel, int count) {
    gate_backward_piece(dx ? dx.f32() + at : nullptr, dgate ? dgate.f32() + channel : nullptr,
                        dout.f32() + at, x.f32() + at, gate.f32() + channel,
                        x.shape[1] * x.shape[2], x.shape[3], count);
  });
}

}  // namespace cpu
