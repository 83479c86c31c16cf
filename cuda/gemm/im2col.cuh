// Loaders that read a convolution's operands where they lie, as if the matrix of shifted images
// (im2col) existed: NHWC images, weights [O, R, S, C]. Forward, weight gradient, input gradient.
#pragma once
#include <type_traits>

#include "loaders.cuh"
#include "product.cuh"

namespace cuda {

// The element (pixel, tap): pixel = (image, i, j) of a grid of filter positions, tap = (r, s,
// channel) of the filter, at row i * step - top + r and column j * step - left + s of the image;
// zero outside. pixels_inner: pixels are the inner axis, and taps contiguous along mn (weight
// gradient); else the other way round (forward, input gradient).
template <class T, bool pixels_inner>
struct Im2col {
  using Element = T;
  struct Pixel {
    int64_t offset;  // of the element (0, 0, 0) of the filter; may lie outside
    int row, column;
  };
  struct Tap {
    int offset;
    int row, column;
  };
  using Fixed = std::conditional_t<pixels_inner, Tap, Pixel>;
  using Moving = std::conditional_t<pixels_inner, Pixel, Tap>;
  static constexpr bool k_major = !pixels_inner;

  const T* data;
  int height, width, channels;
  int step, top, left;
  int pixels, taps;  // sizes of the two axes
  FastDivisor by_grid_height, by_grid_width, by_channels, by_filter_width;

  DEVICE Pixel pixel(int i) const {
    // So far away that no tap reaches the image; taps that do not exist differ in the column.
    if (i >= pixels) return {0, -(1 << 30), 0};
    const int line = by_grid_width.quotient(i);
    const int image = by_grid_height.quotient(line);
    const int row = (line - image * by_grid_height.divisor) * step - top;
    const int column = (i - line * by_grid_width.divisor) * step - left;
    return {(int64_t{image * height + row} * width + column) * channels, row, column};
  }
  DEVICE Tap tap(int i) const {
    if (i >= taps) return {0, 0, 1 << 30};
    const int place = by_channels.quotient(i);
    const int row = by_filter_width.quotient(place);
    const int column = place - row * by_filter_width.divisor;
    return {(row * width + column) * channels + i - place * channels, row, column};
  }

  DEVICE Fixed fix(int mn) const {
    if constexpr (pixels_inner) {
      return tap(mn);
    } else {
      return pixel(mn);
    }
  }
  DEVICE Moving move(int k) const {
    if constexpr (pixels_inner) {
      return pixel(k);
    } else {
      return tap(k);
    }
  }
  DEVICE const T* address(const Fixed& fixed, const Moving& moving, bool& valid) const {
    valid = static_cast<unsigned>(fixed.row + moving.row) < static_cast<unsigned>(height) &&
            static_cast<unsigned>(fixed.column + moving.column) < static_cast<unsigned>(width);
    return valid ? data + (fixed.offset + moving.offset) : data;
  }
};

// The weights of an input gradient: rows k = (i, j, filter) with the channels contiguous. (i, j)
// stands for the tap (last_row - i * step, last_column - j * step).
template <class T>
struct FlippedWeight {
  using Element = T;
  using Fixed = int;
  using Moving = const T*;
  static constexpr bool k_major = false;

  const T* data;
  int channels, taps_h, taps_w;
  int depth;
  int last_row, last_column, step;
  FastDivisor by_filters, by_columns;

  DEVICE Fixed fix(int channel) const { return channel < channels ? channel : -1; }
  DEVICE Moving move(int k) const {
    if (k >= depth) return nullptr;
    const int place = by_filters.quotient(k);
    const int filter = k - place * by_filters.divisor;
    const int i = by_columns.quotient(place);
    const int row = last_row - i * step;
    const int column = last_column - (place - i * by_columns.divisor) * step;
    return data + int64_t{(filter * taps_h + row) * taps_w + column} * channels;
  }
  DEVICE const T* address(Fixed channel, Moving row, bool& valid) const {
    valid = row != nullptr && channel >= 0;
    return valid ? row + channel : data;
  }
};

// dx = dout * flipped weight. With a stride each z is one parity of the input pixel (row % stride,
// column % stride), which meets only every stride-th tap: a product with stride 1 of its own. With
// stride 1, z is a split of the inner axis. All channels of x count.
template <class T>
struct InputGradient {
  using A = Im2col<T, false>;
  using B = FlippedWeight<T>;
  const T* dout;
  const T* weight;
  ConvolutionShape shape;
  int depth_per_split;

  // Along one axis: input positions first, first + stride ..., the taps that they meet, and the
  // output position of the first one with its last tap.
  struct Axis {
    int size, first_tap, taps, pad;
    __host__ __device__ Axis(int input, int first, int stride, int pad_before, int filter) {
      size = input > first ? ceil_div(input - first, stride) : 0;
      first_tap = (first + pad_before) % stride;
      taps = filter > first_tap ? ceil_div(filter - first_tap, stride) : 0;
      pad = taps - 1 - (first + pad_before - first_tap) / stride;
    }
    DEVICE int last_tap(int stride) const { return first_tap + (taps - 1) * stride; }
  };

  DEVICE Part<A, B> part(Finish& f, int z) const {
    const ConvolutionShape& s = shape;
    const int parity = s.stride == 1 ? 0 : z;
    const int first_h = parity / s.stride, first_w = parity % s.stride;
    const Axis h(s.height, first_h, s.stride, s.pad_top, s.taps_h);
    const Axis w(s.width, first_w, s.stride, s.pad_left, s.taps_w);
    const int depth = h.taps * w.taps * s.filters;
    f.m = s.batch * h.size * w.size;
    const A a{dout,
              s.out_height,
              s.out_width,
              s.filters,
              1,
              h.pad,
              w.pad,
              f.m,
              depth,
              FastDivisor(max(1, h.size)),
              FastDivisor(max(1, w.size)),
              FastDivisor(s.filters),
              FastDivisor(max(1, w.taps))};
    const B b{weight,
              s.channels,
              s.taps_h,
              s.taps_w,
              depth,
              h.last_tap(s.stride),
              w.last_tap(s.stride),
              s.stride,
              FastDivisor(s.filters),
              FastDivisor(max(1, w.taps))};
    if (s.stride == 1) {
      if (f.by_split != 0) f.out = static_cast<float*>(f.out) + z * f.by_split;
      return {a, b, z * depth_per_split, min(depth, (z + 1) * depth_per_split)};
    }
    f.step = s.stride;
    f.rows_h = h.size;
    f.rows_w = w.size;
    f.first_h = first_h;
    f.first_w = first_w;
    f.height = s.height;
    f.width = s.width;
    return {a, b, 0, depth};
  }
};

}  // namespace cuda
