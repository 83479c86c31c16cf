// SwiGLU (Shazeer 2020, arXiv:2002.05202): one half of the columns, through silu, gates the other.
// Bound by memory.
#include "../binding/device.h"
#include "../binding/tensor.h"
#include "activation.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

SIMD void gate_row(float* out, const float* gate, const float* value, int n) {
#pragma omp simd
  for (int i = 0; i < n; i++) out[i] = activate<kSilu>(gate[i]) * value[i];
}

SIMD void gate_row_backward(float* dgate, float* dvalue, const float* dout, const float* gate,
                            const float* value, int n) {
#pragma omp simd
  for (int i = 0; i < n; i++) {
    dgate[i] = dout[i] * value[i] * activation_derivative<kSilu>(gate[i]);
    dvalue[i] = dout[i] * activate<kSilu>(gate[i]);
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void swiglu(Tensor out, Tensor x, Stream&) {
  const int n = out.columns();
  const int64_t rows = out.rows();
#pragma omp parallel for schedule(static) if (x.size() > 32768)
  for (int64_t row = 0; row < rows; row++) {
    const float* gate = x.f32() + row * 2 * n;
    gate_row(out.f32() + row * n, gate, gate + n, n);
  }
}

void swiglu_backward(Tensor dx, Tensor dout, Tensor x, Stream&) {
  const int n = dout.columns();
  const int64_t rows = dout.rows();
#pragma omp parallel for schedule(static) if (x.size() > 32768)
  for (int64_t row = 0; row < rows; row++) {
    const float* gate = x.f32() + row * 2 * n;
    float* dgate = dx.f32() + row * 2 * n;
    gate_row_backward(dgate, dgate + n, dout.f32() + row * n, gate, gate + n, n);
  }
}

}  // namespace cpu
