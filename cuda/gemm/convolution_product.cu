// Convolutions as products: which kernels run. A 1 x 1 convolution is a plain product; channels of
// x that no weight belongs to get weights of zero.
#include "../device/vector.cuh"
#include "../runtime/launch.h"
#include "convolution_product.h"
#include "sm90.h"

namespace cuda {

namespace {

constexpr int kThreads = 256;

// Rows of `from` channels become rows of `to`: cut off, or filled up with zeros.
template <class T>
__global__ void __launch_bounds__(kThreads)
    resize_rows_kernel(T* out, const T* x, int64_t size, int to, int from) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= size) return;
  const int64_t row = i / to;
  const int channel = static_cast<int>(i - row * to);
  out[i] = channel < from ? x[row * from + channel] : from_float<T>(0.0f);
}
template <class T>
void resize_rows(T* out, const T* x, int64_t rows, int to, int from, Stream& stream) {
  const int64_t size = rows * to;
  launch(resize_rows_kernel<T>, dim3(static_cast<unsigned>(ceil_div<int64_t>(size, kThreads))),
         kThreads, 0, stream, out, x, size, to, from);
}

int64_t weight_rows(const ConvolutionShape& s) { return int64_t{s.filters} * s.taps_h * s.taps_w; }

// The weight with as many channels as x; changes `shape` likewise.
const void* with_all_channels(const void* weight, Dtype dtype, ConvolutionShape& s,
                              Stream& stream) {
  if (s.channels == s.x_channels) return weight;
  void* packed =
      stream.scratch(static_cast<size_t>(weight_rows(s) * s.x_channels * bytes_of(dtype)));
  if (dtype == Dtype::float32) {
    resize_rows(static_cast<float*>(packed), static_cast<const float*>(weight), weight_rows(s),
                s.x_channels, s.channels, stream);
  } else {
    resize_rows(static_cast<bf16*>(packed), static_cast<const bf16*>(weight), weight_rows(s),
                s.x_channels, s.channels, stream);
  }
  s.channels = s.x_channels;
  return packed;
}

// Every output pixel is a product of one input pixel, in the same order.
bool is_plain(const ConvolutionShape& s) {
  return s.taps_h == 1 && s.taps_w == 1 && s.stride == 1 && s.pad_top == 0 && s.pad_left == 0 &&
         s.out_height == s.height && s.out_width == s.width;
}
int pixels(const ConvolutionShape& s) { return s.batch * s.out_height * s.out_width; }

}  // namespace

// -------------------------------------------------------------------------------------------------

void convolution_product(void* out, Dtype dtype, const void* x, const void* weight,
                         const ConvolutionShape& shape, const Epilogue& epilogue, Stream& stream) {
  if (pixels(shape) == 0 || shape.filters == 0) return;
  // A plain product steps over surplus channels by its stride.
  if (is_plain(shape))
    return gemm(out, dtype, shape.filters, pixels(shape), shape.filters, shape.channels, dtype,
                {x, shape.x_channels, true}, {weight, shape.channels, true}, epilogue, stream);
  ConvolutionShape s = shape;
  weight = with_all_channels(weight, dtype, s, stream);
  if (dtype == Dtype::float32)
    return forward_product(out, dtype, static_cast<const float*>(x),
                           static_cast<const float*>(weight), s, epilogue, stream);
  if (gpu(stream).hopper() && convolution_product_sm90(out, x, weight, s, epilogue, stream)) return;
  forward_product(out, dtype, static_cast<const bf16*>(x), static_cast<const bf16*>(weight), s,
                  epilogue, stream);
}

void convolution_input_gradient(void* dx, Dtype dtype, const void* dout, const void* weight,
                                const ConvolutionShape& shape, Stream& stream) {
  ConvolutionShape s = shape;
  if (s.batch * s.height * s.width == 0 || s.x_channels == 0) return;
  weight = with_all_channels(weight, dtype, s, stream);
  if (is_plain(s))
    return gemm(dx, dtype, s.channels, pixels(s), s.channels, s.filters, dtype,
                {dout, s.filters, true}, {weight, s.channels, false}, {}, stream);
  if (dtype == Dtype::float32)
    return input_gradient_product(static_cast<float*>(dx), dtype, static_cast<const float*>(dout),
                                  static_cast<const float*>(weight), s, stream);
  if (gpu(stream).hopper() && convolution_input_gradient_sm90(dx, dout, weight, s, stream)) return;
  input_gradient_product(static_cast<bf16*>(dx), dtype, static_cast<const bf16*>(dout),
                         static_cast<const bf16*>(weight), s, stream);
}

void convolution_weight_gradient(float* dweight, Dtype dtype, const void* dout, const void* x,
                                 const ConvolutionShape& shape, Stream& stream) {
  if (is_plain(shape))
    return gemm(dweight, Dtype::float32, shape.channels, shape.filters, shape.channels,
                pixels(shape), dtype, {dout, shape.filters, false}, {x, shape.x_channels, false},
                {}, stream);
  ConvolutionShape s = shape;
  s.channels = s.x_channels;
  if (s.filters == 0 || s.channels == 0) return;
  float* all = dweight;
  if (shape.channels != s.channels)
    all = static_cast<float*>(
        stream.scratch(static_cast<size_t>(weight_rows(s) * s.channels) * sizeof(float)));
  if (dtype == Dtype::float32) {
    weight_gradient_product(all, static_cast<const float*>(dout), static_cast<const float*>(x), s,
                            stream);
  } else if (!gpu(stream).hopper() || !convolution_weight_gradient_sm90(all, dout, x, s, stream)) {
    weight_gradient_product(all, static_cast<const bf16*>(dout), static_cast<const bf16*>(x), s,
                            stream);
  }
  if (all != dweight) resize_rows(dweight, all, weight_rows(s), shape.channels, s.channels, stream);
}

}  // namespace cuda
