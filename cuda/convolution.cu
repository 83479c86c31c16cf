// Convolution with bias, residual and activation, and its gradients: which kernel does it. Products
// of one group are gemm/'s, depthwise ones depthwise.cu's; what remains (some groups, odd sizes of
// depthwise ones) is done plainly here.
#include "convolution.h"
#include "device/activation.cuh"
#include "device/channel_rows.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;

// --- any grouping, one output element a thread; channels of weight: those of one group

// Index [b, y, x, c] from a flat one.
struct Place {
  int b, y, x, c;

  DEVICE Place(int64_t i, int height, int width, int channels) {
    c = static_cast<int>(i % channels);
    i /= channels;
    x = static_cast<int>(i % width);
    i /= width;
    y = static_cast<int>(i % height);
    b = static_cast<int>(i / height);
  }
};

template <class T>
__global__ void grouped_kernel(T* out, const T* x, const T* weight, ConvolutionShape s, int groups,
                               Epilogue epilogue, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= size) return;
  const Place at(i, s.out_height, s.out_width, s.filters);
  const int share = s.channels / groups;
  const int first = at.c / (s.filters / groups) * share;
  float sum = 0.0f;
  for (int r = 0; r < s.taps_h; r++) {
    const int h = at.y * s.stride - s.pad_top + r;
    if (h < 0 || h >= s.height) continue;
    for (int t = 0; t < s.taps_w; t++) {
      const int w = at.x * s.stride - s.pad_left + t;
      if (w < 0 || w >= s.width) continue;
      const T* pixel = x + ((int64_t{at.b} * s.height + h) * s.width + w) * s.x_channels + first;
      const T* filter = weight + ((int64_t{at.c} * s.taps_h + r) * s.taps_w + t) * share;
      for (int c = 0; c < share; c++) sum = fmaf(to_float(pixel[c]), to_float(filter[c]), sum);
    }
  }
  if (epilogue.bias) sum += epilogue.bias[at.c];
  if (epilogue.residual) sum += to_float(static_cast<const T*>(epilogue.residual)[i]);
  out[i] = from_float<T>(activate(epilogue.activation, sum));
}

template <class T>
__global__ void grouped_input_gradient_kernel(T* dx, const T* dout, const T* weight,
                                              ConvolutionShape s, int groups, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= size) return;
  const Place at(i, s.height, s.width, s.channels);
  const int share = s.channels / groups;
  const int filters = s.filters / groups;
  const int group = at.c / share;
  float sum = 0.0f;
  for (int r = 0; r < s.taps_h; r++) {
    const int y = at.y + s.pad_top - r;
    if (y < 0 || y % s.stride != 0 || y / s.stride >= s.out_height) continue;
    for (int t = 0; t < s.taps_w; t++) {
      const int x = at.x + s.pad_left - t;
      if (x < 0 || x % s.stride != 0 || x / s.stride >= s.out_width) continue;
      const int64_t pixel =
          (int64_t{at.b} * s.out_height + y / s.stride) * s.out_width + x / s.stride;
      for (int o = group * filters; o < (group + 1) * filters; o++) {
        const int64_t tap = (int64_t{o} * s.taps_h + r) * s.taps_w + t;
        sum = fmaf(to_float(dout[pixel * s.filters + o]),
                   to_float(weight[tap * share + at.c % share]), sum);
      }
    }
  }
  dx[i] = from_float<T>(sum);
}

// A block has 32 neighbouring filters and one weight of each; its rows share the output's pixels.
template <class T>
__global__ void grouped_weight_gradient_kernel(float* dweight, const T* dout, const T* x,
                                               ConvolutionShape s, int groups, int weights) {
  const int o = static_cast<int>(blockIdx.x / weights) * 32 + static_cast<int>(threadIdx.x);
  const int index = static_cast<int>(blockIdx.x % weights);  // of [taps_h, taps_w, share]
  const int share = s.channels / groups;
  const int t = index / share % s.taps_w;
  const int r = index / share / s.taps_w;
  float sum[1] = {};
  if (o < s.filters) {
    const int channel = o / (s.filters / groups) * share + index % share;
    const int64_t pixels = int64_t{s.batch} * s.out_height * s.out_width;
    for (int64_t i = threadIdx.y; i < pixels; i += blockDim.y) {
      const Place at(i, s.out_height, s.out_width, 1);
      const int h = at.y * s.stride - s.pad_top + r;
      const int w = at.x * s.stride - s.pad_left + t;
      if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
      const int64_t pixel = (int64_t{at.b} * s.height + h) * s.width + w;
      sum[0] = fmaf(to_float(dout[i * s.filters + o]), to_float(x[pixel * s.x_channels + channel]),
                    sum[0]);
    }
  }
  sum_rows<kThreads>(sum);
  if (threadIdx.y == 0 && o < s.filters) dweight[int64_t{o} * weights + index] = sum[0];
}

// --- the gradient before the activation

// g = dout activation'(out); partials(?) [row blocks, channels]: its sums over rows. Memory: reads
// dout and out, writes g.
template <class T, int V>
__global__ void __launch_bounds__(kThreads, 2)
    undo_activation_kernel(T* g, float* partials, const T* dout, const T* out,
                           ActivationOf<kNone> activation, ChannelRows sizes) {
  constexpr int kTogether = 4;  // rows under way at once
  const ChannelThread at = channel_thread<V>(sizes);
  const int64_t step = int64_t{sizes.height} * sizes.channels;
  float sums[V] = {};
  for (int64_t row = at.row; row < at.end; row += kTogether * sizes.height) {
    const int64_t first = row * sizes.channels + at.channel;
    Vector<T, V> gradients[kTogether], outs[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      if (row + k * sizes.height >= at.end) continue;
      gradients[k] = load_raw<V>(dout + first + k * step);
      outs[k] = load_raw<V>(out + first + k * step);
    }
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      if (row + k * sizes.height >= at.end) continue;
      float x[V], z[V];
      unpack(x, gradients[k]);
      unpack(z, outs[k]);
#pragma unroll
      for (int i = 0; i < V; i++) {
        x[i] = activation.gradient(x[i], z[i]);
        sums[i] += x[i];
      }
      store(g + first + k * step, x);
    }
  }
  if (!partials) return;
  sum_rows<kThreads>(sums);
  if (threadIdx.y == 0 && at.active)
    store(partials + at.row_block * sizes.channels + at.channel, sums);
}

void undo_activation(void* g, Tensor dbias, Tensor dout, Tensor out, int activation,
                     Stream& stream) {
  const int channels = dout.columns();
  with_float_type(dout, [&]<class T>(T) {
    const bool wide = aligned(dout, out) && reinterpret_cast<uintptr_t>(g) % 16 == 0 &&
                      channels % kVector<T> == 0;
    with_channel_vector<T>(wide, [&](auto vector) {
      const ChannelRows sizes = channel_rows(dout.rows(), channels, vector(), kThreads,
                                             dbias ? 16 : 8, dbias ? 1056 : INT32_MAX, 32);
      float* partials = nullptr;
      if (dbias)
        partials = static_cast<float*>(
            stream.scratch(sizeof(float) * static_cast<size_t>(sizes.row_blocks * channels)));
      launch(undo_activation_kernel<T, vector()>, sizes.grid(), sizes.threads(), 0, stream,
             static_cast<T*>(g), partials, data<T>(dout), data<T>(out),
             ActivationOf<kNone>(activation), sizes);
      if (dbias)
        column_sums(data<float>(dbias), partials, Dtype::float32, sizes.row_blocks, channels,
                    channels, stream);
    });
  });
}

// --- which kernel

// One tap at every pixel: a plain product of matrices.
bool is_plain(const ConvolutionShape& s) {
  return s.taps_h == 1 && s.taps_w == 1 && s.stride == 1 && s.pad_top == 0 && s.pad_left == 0 &&
         s.out_height == s.height && s.out_width == s.width;
}
int pixels_of(const ConvolutionShape& s) { return s.batch * s.out_height * s.out_width; }

// Calls body(T{}) with the element type.
template <class Body>
void with_type(const Convolution& sizes, Body body) {
  if (sizes.dtype == Dtype::float32) {
    body(float{});
  } else {
    body(bf16{});
  }
}

unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>(ceil_div<int64_t>(threads, kThreads));
}

void one_group(void* out, const void* x, const void* weight, const Convolution& sizes,
               const Epilogue& epilogue, Stream& stream) {
  const ConvolutionShape& s = sizes.shape;
  if (is_plain(s)) {
    gemm(out, sizes.dtype, s.filters, pixels_of(s), s.filters, s.channels, sizes.dtype,
         {x, s.x_channels, true}, {weight, s.channels, true}, epilogue, stream);
  } else {
    convolution_product(out, sizes.dtype, x, weight, s, epilogue, stream);
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

Convolution describe_convolution(Tensor x, Tensor weight, Tensor out, int stride, int pad_top,
                                 int pad_left, int groups) {
  ConvolutionShape s{};
  s.batch = x.shape[0];
  s.height = x.shape[1];
  s.width = x.shape[2];
  s.x_channels = x.shape[3];
  s.channels = weight.shape[3] * groups;
  s.out_height = out.shape[1];
  s.out_width = out.shape[2];
  s.filters = weight.shape[0];
  s.taps_h = weight.shape[1];
  s.taps_w = weight.shape[2];
  s.stride = stride;
  s.pad_top = pad_top;
  s.pad_left = pad_left;
  return {s, groups, x.dtype};
}

void convolve(void* out, const void* x, const void* weight, const Convolution& sizes,
              const Epilogue& epilogue, Stream& stream) {
  if (sizes.groups == 1) return one_group(out, x, weight, sizes, epilogue, stream);
  if (depthwise_takes(sizes, {out, x, weight, epilogue.bias, epilogue.residual}))
    return depthwise(out, x, weight, sizes, epilogue, stream);
  with_type(sizes, [&]<class T>(T) {
    const int64_t size = int64_t{pixels_of(sizes.shape)} * sizes.shape.filters;
    launch(grouped_kernel<T>, blocks_for(size), kThreads, 0, stream, static_cast<T*>(out),
           static_cast<const T*>(x), static_cast<const T*>(weight), sizes.shape, sizes.groups,
           epilogue, size);
  });
}

MomentTiles convolve_with_moments(void* out, const void* x, const void* weight,
                                  const Convolution& sizes, Stream& stream) {
  if (sizes.groups != 1) {
    if (depthwise_takes(sizes, {out, x, weight}))
      return depthwise_with_moments(out, x, weight, sizes, stream);
    convolve(out, x, weight, sizes, {}, stream);
    return {};
  }
  const int64_t tiles = ceil_div(pixels_of(sizes.shape), kStatisticRows);
  Epilogue epilogue;
  epilogue.statistics = static_cast<float*>(
      stream.scratch(sizeof(float) * 2 * static_cast<size_t>(tiles * sizes.shape.filters)));
  one_group(out, x, weight, sizes, epilogue, stream);
  return {epilogue.statistics, nullptr, tiles};
}

void convolve_input_gradient(void* dx, const void* dout, const void* weight,
                             const Convolution& sizes, Stream& stream) {
  const ConvolutionShape& s = sizes.shape;
  if (sizes.groups != 1) {
    if (depthwise_takes(sizes, {dx, dout, weight}))
      return depthwise_input_gradient(dx, dout, weight, sizes, stream);
    with_type(sizes, [&]<class T>(T) {
      const int64_t size = int64_t{s.batch} * s.height * s.width * s.channels;
      launch(grouped_input_gradient_kernel<T>, blocks_for(size), kThreads, 0, stream,
             static_cast<T*>(dx), static_cast<const T*>(dout), static_cast<const T*>(weight), s,
             sizes.groups, size);
    });
  } else if (is_plain(s) && s.x_channels == s.channels) {
    gemm(dx, sizes.dtype, s.channels, pixels_of(s), s.channels, s.filters, sizes.dtype,
         {dout, s.filters, true}, {weight, s.channels, false}, {}, stream);
  } else {
    convolution_input_gradient(dx, sizes.dtype, dout, weight, s, stream);
  }
}

void convolve_weight_gradient(float* dweight, const void* dout, const void* x,
                              const Convolution& sizes, Stream& stream) {
  const ConvolutionShape& s = sizes.shape;
  if (sizes.groups != 1) {
    if (depthwise_takes(sizes, {dout, x}))
      return depthwise_weight_gradient(dweight, dout, x, sizes, stream);
    with_type(sizes, [&]<class T>(T) {
      const int weights = s.taps_h * s.taps_w * (s.channels / sizes.groups);
      const unsigned blocks = static_cast<unsigned>(ceil_div(s.filters, 32) * weights);
      launch(grouped_weight_gradient_kernel<T>, blocks, dim3(32, kThreads / 32), 0, stream, dweight,
             static_cast<const T*>(dout), static_cast<const T*>(x), s, sizes.groups, weights);
    });
  } else if (is_plain(s)) {
    gemm(dweight, Dtype::float32, s.channels, s.filters, s.channels, pixels_of(s), sizes.dtype,
         {dout, s.filters, false}, {x, s.x_channels, false}, {}, stream);
  } else {
    convolution_weight_gradient(dweight, sizes.dtype, dout, x, s, stream);
  }
}

void convolution(Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor residual, int stride,
                 int pad_top, int pad_left, int groups, int activation, int /*constant*/,
                 Stream& stream) {
  if (out.size() == 0) return;
  Epilogue epilogue;
  epilogue.bias = data<float>(bias);
  epilogue.residual = residual.data;
  epilogue.residual_first = true;
  epilogue.activation = activation;
  convolve(out.data, x.data, weight.data,
           describe_convolution(x, weight, out, stride, pad_top, pad_left, groups), epilogue,
           stream);
}

// Weights have one layout here.
void drop_constant(int, Stream&) {}

void convolution_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dresidual, Tensor dout,
                          Tensor x, Tensor weight, Tensor out, int stride, int pad_top,
                          int pad_left, int groups, int activation, Stream& stream) {
  if (dout.size() == 0) {
    for (const Tensor& gradient : {dweight, dbias})
      if (gradient) fill(gradient, 0.0f, stream);
    return;
  }
  const void* g = dout.data;
  if (activation != kNone) {
    void* to = dresidual ? dresidual.data : stream.scratch(static_cast<size_t>(dout.bytes()));
    undo_activation(to, dbias, dout, out, activation, stream);
    g = to;
  } else {
    if (dresidual) copy(dresidual, dout, stream);
    if (dbias)
      column_sums(data<float>(dbias), dout.data, dout.dtype, dout.rows(), dout.columns(),
                  dout.columns(), stream);
  }
  const Convolution sizes =
      describe_convolution(x, weight, dout, stride, pad_top, pad_left, groups);
  if (dx) convolve_input_gradient(dx.data, g, weight.data, sizes, stream);
  if (dweight) convolve_weight_gradient(data<float>(dweight), g, x.data, sizes, stream);
}

}  // namespace cuda
