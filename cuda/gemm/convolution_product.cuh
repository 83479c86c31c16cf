// The bodies of convolution_product.h, for the files that each compile some of them.
#pragma once
#include "convolution_product.h"
#include "im2col.cuh"
#include "run.cuh"

namespace cuda {

// The loader of x for the filter positions of the output.
template <class T, bool pixels_inner>
Im2col<T, pixels_inner> im2col(const T* x, const ConvolutionShape& s) {
  return {x,
          s.height,
          s.width,
          s.channels,
          s.stride,
          s.pad_top,
          s.pad_left,
          s.batch * s.out_height * s.out_width,
          s.taps_h * s.taps_w * s.channels,
          FastDivisor(s.out_height),
          FastDivisor(s.out_width),
          FastDivisor(s.channels),
          FastDivisor(s.taps_w)};
}

template <class T>
void forward_product(void* out, Dtype out_dtype, const T* x, const T* weight,
                     const ConvolutionShape& s, const Epilogue& epilogue, Stream& stream) {
  const auto a = im2col<T, false>(x, s);
  const int depth = a.taps;
  const Product<Im2col<T, false>, KMajorMatrix<T>> problem{
      a, {weight, depth, s.filters, depth}, depth, depth};
  const Finish f = make_finish(out, out_dtype, s.filters, a.pixels, s.filters, epilogue);
  run_product(problem, depth, f, granule_of<T>(x, weight, s.channels), stream);
}

template <class T>
void input_gradient_product(T* dx, Dtype dtype, const T* dout, const T* weight,
                            const ConvolutionShape& s, Stream& stream) {
  const int pixels = s.batch * s.height * s.width;
  const int depth = s.taps_h * s.taps_w * s.filters;
  const InputGradient<T> problem{dout, weight, s, depth};
  const Finish f = make_finish(dx, dtype, s.channels, pixels, s.channels, {});
  const Granule granule = granule_of<T>(dout, weight, s.filters, s.channels);
  if (s.stride == 1) return run_product(problem, depth, f, granule, stream);

  const int parities = s.stride * s.stride;
  PlanQuery query{pixels, s.channels, ceil_div(depth, parities), gpu(stream).multiprocessors()};
  query.tiles = tiles_of(granule);
  query.may_split = false;
  const int largest = s.batch * ceil_div(s.height, s.stride) * ceil_div(s.width, s.stride);
  launch_parts(plan_product(query).tile, granule, problem, f, largest, parities, stream);
}

template <class T>
void weight_gradient_product(float* dweight, const T* dout, const T* x, const ConvolutionShape& s,
                             Stream& stream) {
  const auto b = im2col<T, true>(x, s);
  const int depth = b.pixels;
  const Product<MnMajorMatrix<T>, Im2col<T, true>> problem{
      {dout, s.filters, s.filters, depth}, b, depth, depth};
  const Finish f = make_finish(dweight, Dtype::float32, b.taps, s.filters, b.taps, {});
  run_product(problem, depth, f, granule_of<T>(dout, x, s.filters, s.channels), stream);
}

}  // namespace cuda
