// Maximum over square windows, average over bins that share a map out evenly, and their gradients.
// Channels are contiguous and vectorised. Bound by memory.
#include <algorithm>
#include <limits>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Channels of one piece of work: images and pieces are shared out among the threads.
constexpr int kPiece = 64;

struct Sizes {
  int B, H, W, C, P, Q;

  Sizes(const Tensor& x, const Tensor& out)
      : B(x.shape[0]),
        H(x.shape[1]),
        W(x.shape[2]),
        C(x.shape[3]),
        P(out.shape[1]),
        Q(out.shape[2]) {}
  int64_t image() const { return static_cast<int64_t>(H) * W * C; }
  int64_t out_image() const { return static_cast<int64_t>(P) * Q * C; }
};

// The pixels that one output is made of.
struct Window {
  int top, bottom, left, right;

  int count() const { return (bottom - top) * (right - left); }
};

// Windows of size x size, cut at the edges of the image.
struct Squares {
  Sizes s;
  int size, stride, pad;

  Window operator()(int p, int q) const {
    const int top = p * stride - pad, left = q * stride - pad;
    return {std::max(0, top), std::min(s.H, top + size), std::max(0, left),
            std::min(s.W, left + size)};
  }
};

// Rows floor(p H / P) .. ceil((p + 1) H / P), columns alike.
struct Bins {
  Sizes s;

  Window operator()(int p, int q) const {
    return {p * s.H / s.P, ((p + 1) * s.H + s.P - 1) / s.P, q * s.W / s.Q,
            ((q + 1) * s.W + s.Q - 1) / s.Q};
  }
};

// Calls body(h, w) for every place of the window, row by row.
template <class Body>
SIMD_INLINE void each_place(const Window& window, Body body) {
  for (int h = window.top; h < window.bottom; h++)
    for (int w = window.left; w < window.right; w++) body(h, w);
}

// NaN wins, so that it is seen further on.
SIMD void max_row(float* out, const float* x, const Squares& squares, int p) {
  const Sizes& s = squares.s;
  for (int q = 0; q < s.Q; q++) {
    float* __restrict best = out + static_cast<int64_t>(q) * s.C;
    std::fill_n(best, s.C, -std::numeric_limits<float>::infinity());
    each_place(
        squares(p, q), [&](int h, int w) __attribute__((always_inline)) {
          const float* from = x + (static_cast<int64_t>(h) * s.W + w) * s.C;
          for (int c = 0; c < s.C; c++)
            best[c] = (from[c] > best[c]) | (from[c] != from[c]) ? from[c] : best[c];
        });
  }
}

SIMD void average_row(float* out, const float* x, const Bins& bins, int p) {
  const Sizes& s = bins.s;
  for (int q = 0; q < s.Q; q++) {
    float* __restrict sum = out + static_cast<int64_t>(q) * s.C;
    std::fill_n(sum, s.C, 0.0f);
    const Window window = bins(p, q);
    each_place(
        window, [&](int h, int w) __attribute__((always_inline)) {
          const float* from = x + (static_cast<int64_t>(h) * s.W + w) * s.C;
          for (int c = 0; c < s.C; c++) sum[c] += from[c];
        });
    const float share = 1.0f / static_cast<float>(window.count());
    for (int c = 0; c < s.C; c++) sum[c] *= share;
  }
}

// Channels first .. first + count of one image.
SIMD void max_backward_piece(float* dx, const float* dout, const float* x, const float* out,
                             const Squares& squares, int first, int count) {
  const Sizes& s = squares.s;
  for (int64_t i = first; i < static_cast<int64_t>(s.H) * s.W * s.C; i += s.C)
    std::fill_n(dx + i, count, 0.0f);
  for (int p = 0; p < s.P; p++)
    for (int q = 0; q < s.Q; q++) {
      const int64_t at = (static_cast<int64_t>(p) * s.Q + q) * s.C + first;
      // What is left to hand out: the first maximum takes it.
      float left[kPiece];
      std::copy_n(dout + at, count, left);
      each_place(
          squares(p, q), [&](int h, int w) __attribute__((always_inline)) {
            const int64_t from = (static_cast<int64_t>(h) * s.W + w) * s.C + first;
#pragma GCC ivdep
            for (int c = 0; c < count; c++) {
              const bool is_max = x[from + c] == out[at + c];
              dx[from + c] += is_max ? left[c] : 0.0f;
              left[c] = is_max ? 0.0f : left[c];
            }
          });
    }
}

SIMD void average_backward_piece(float* dx, const float* dout, const Bins& bins, int first,
                                 int count) {
  const Sizes& s = bins.s;
  for (int64_t i = first; i < static_cast<int64_t>(s.H) * s.W * s.C; i += s.C)
    std::fill_n(dx + i, count, 0.0f);
  for (int p = 0; p < s.P; p++)
    for (int q = 0; q < s.Q; q++) {
      const float* from = dout + (static_cast<int64_t>(p) * s.Q + q) * s.C + first;
      const Window window = bins(p, q);
      const float share = 1.0f / static_cast<float>(window.count());
      each_place(
          window, [&](int h, int w) __attribute__((always_inline)) {
            float* __restrict to = dx + (static_cast<int64_t>(h) * s.W + w) * s.C + first;
            for (int c = 0; c < count; c++) to[c] += share * from[c];
          });
    }
}

// Calls body(image, output row) in parallel.
template <class Body>
void each_row(const Sizes& s, Body body) {
#pragma omp parallel for schedule(static) collapse(2)
  for (int b = 0; b < s.B; b++)
    for (int p = 0; p < s.P; p++) body(b, p);
}

// Calls body(image, first channel, channels) in parallel.
template <class Body>
void each_piece(const Sizes& s, Body body) {
#pragma omp parallel for schedule(static) collapse(2)
  for (int b = 0; b < s.B; b++)
    for (int c = 0; c < s.C; c += kPiece) body(b, c, std::min(kPiece, s.C - c));
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void max_pool(Tensor out, Tensor x, int size, int stride, int pad, Stream&) {
  const Sizes s(x, out);
  const Squares squares{s, size, stride, pad};
  const int64_t row = static_cast<int64_t>(s.Q) * s.C;
  each_row(s, [&](int b, int p) {
    max_row(out.f32() + (static_cast<int64_t>(b) * s.P + p) * row, x.f32() + b * s.image(), squares,
            p);
  });
}

void max_pool_backward(Tensor dx, Tensor dout, Tensor x, Tensor out, int size, int stride, int pad,
                       Stream&) {
  const Sizes s(x, out);
  const Squares squares{s, size, stride, pad};
  each_piece(s, [&](int b, int first, int count) {
    max_backward_piece(dx.f32() + b * s.image(), dout.f32() + b * s.out_image(),
                       x.f32() + b * s.image(), out.f32() + b * s.out_image(), squares, first,
                       count);
  });
}

void adaptive_average_pool(Tensor out, Tensor x, Stream&) {
  const Sizes s(x, out);
  const int64_t row = static_cast<int64_t>(s.Q) * s.C;
  each_row(s, [&](int b, int p) {
    average_row(out.f32() + (static_cast<int64_t>(b) * s.P + p) * row, x.f32() + b * s.image(),
                Bins{s}, p);
  });
}

void adaptive_average_pool_backward(Tensor dx, Tensor dout, Stream&) {
  const Sizes s(dx, dout);
  each_piece(s, [&](int b, int first, int count) {
    average_backward_piece(dx.f32() + b * s.image(), dout.f32() + b * s.out_image(), Bins{s}, first,
                           count);
  });
}

}  // namespace cpu
