// Convolution, then batch normalisation with the statistics of the batch, residual and activation
// (Ioffe and Szegedy 2015, arXiv:1502.03167). y is kept in the dtype of activations; the statistics
// are those of the float32 sums before that rounding wherever the product's own kernel leaves them
// (groups = 1, depthwise), and the gradient is that of normalising the kept y with them. Products
// are convolution.cu's.
#include "convolution.h"
#include "device/activation.cuh"
#include "device/channel_rows.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kMergeThreads = 512;
constexpr int kWidth = 32;  // threads along the channels at most
// Each leaves a row of partial sums, which few blocks add up.
constexpr int kMostSumBlocks = 528;

// gamma (y - mean) rstd + beta for V channels. Backward repeats forward's numbers bit by bit, or
// elements at an activation's edge would change sides.
struct Normalisation {
  const float *mean, *rstd, *gamma, *beta;
};
template <int V>
struct ChannelNormalisation {
  float mean[V], scale[V], beta[V];

  DEVICE ChannelNormalisation(const Normalisation& by, const ChannelThread& at) {
    if (!at.active) return;
    float rstd[V];
    load(mean, by.mean + at.channel);
    load(rstd, by.rstd + at.channel);
    load(scale, by.gamma + at.channel);
    load(beta, by.beta + at.channel);
#pragma unroll
    for (int i = 0; i < V; i++) scale[i] *= rstd[i];
  }
  DEVICE void apply(float (&z)[V], const float (&y)[V]) const {
#pragma unroll
    for (int i = 0; i < V; i++) z[i] = fmaf(y[i] - mean[i], scale[i], beta[i]);
  }
};

// Calls body(T{}, channels of a thread, ActivationOf<kind>): what the passes over y are compiled
// for.
template <class Body>
void with_pass(Tensor y, bool aligned, int activation, Body body) {
  with_float_type(y, [&]<class T>(T) {
    with_channel_vector<T>(aligned && y.columns() % kVector<T> == 0, [&](auto vector) {
      switch (activation) {
        case kGelu:
          return body(T{}, vector, ActivationOf<kGelu>(activation));
        case kSilu:
          return body(T{}, vector, ActivationOf<kSilu>(activation));
        default:
          return body(T{}, vector, ActivationOf<kNone>(activation));
      }
    });
  });
}

// Moments of y itself, for products that leave none. Reads y once.
template <class T, int V>
__global__ void moments_kernel(float* values, float* counts, const T* y, ChannelRows sizes) {
  const ChannelThread at = channel_thread<V>(sizes);
  MomentSums<V> sums;
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    float x[V];
    load(x, y + row * sizes.channels + at.channel);
    sums.add(x);
  }
  ChannelMoments<V> moments = sums.moments();
  store_moments<kThreads>(values, counts, moments, at, sizes);
}

// Tiles sizes.block_rows at a time become one.
DEVICE void merge_tiles(ChannelMoments<1>& moments, const MomentTiles& tiles, int64_t rows,
                        const ChannelThread& at, const ChannelRows& sizes) {
  moments.clear();
#pragma unroll 4
  for (int64_t tile = at.row; tile < at.end; tile += sizes.height) {
    float pair[2];
    load(pair, tiles.values + 2 * (tile * sizes.channels + at.channel));
    const float count =
        tiles.counts
            ? tiles.counts[tile]
            : static_cast<float>(min(int64_t{kStatisticRows}, rows - tile * kStatisticRows));
    const float other[3] = {pair[0], pair[1], count};
    ChannelMoments<1>::merge(moments.numbers, other);
  }
}

__global__ void merge_moments_kernel(float* values, float* counts, MomentTiles tiles, int64_t rows,
                                     ChannelRows sizes) {
  const ChannelThread at = channel_thread<1>(sizes);
  ChannelMoments<1> moments;
  merge_tiles(moments, tiles, rows, at, sizes);
  store_moments<kMergeThreads>(values, counts, moments, at, sizes);
}

// The last merge: what the moments are for.
__global__ void statistics_kernel(float* mean, float* rstd, float* running_mean, float* running_var,
                                  MomentTiles tiles, int64_t rows, float momentum, float epsilon,
                                  ChannelRows sizes) {
  const ChannelThread at = channel_thread<1>(sizes);
  ChannelMoments<1> moments;
  merge_tiles(moments, tiles, rows, at, sizes);
  merge_rows<kMergeThreads>(moments.numbers, ChannelMoments<1>::merge);
  if (threadIdx.y != 0 || !at.active) return;
  const int c = at.channel;
  const float now = moments.numbers[0];
  const float m2 = moments.numbers[1];
  const float n = static_cast<float>(rows);
  mean[c] = now;
  rstd[c] = 1.0f / sqrtf(m2 / n + epsilon);
  running_mean[c] += momentum * (now - running_mean[c]);
  running_var[c] += momentum * (m2 / (n - 1.0f) - running_var[c]);
}

// out = activation(normalised y + residual(?)); y may be out. Memory: reads y (and residual),
// writes out: 2 or 3 times the element.
template <class T, int V, int kind>
__global__ void __launch_bounds__(kThreads, 2)
    normalise_kernel(T* out, const T* y, const T* residual, Normalisation by,
                     ActivationOf<kind> activation, ChannelRows sizes) {
  constexpr int kTogether = 4;  // rows under way at once
  const ChannelThread at = channel_thread<V>(sizes);
  const ChannelNormalisation<V> normalise(by, at);
  const int64_t step = int64_t{sizes.height} * sizes.channels;
  for (int64_t row = at.row; row < at.end; row += kTogether * sizes.height) {
    const int64_t first = row * sizes.channels + at.channel;
    Vector<T, V> values[kTogether], residuals[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      if (row + k * sizes.height >= at.end) continue;
      values[k] = load_raw<V>(y + first + k * step);
      if (residual) residuals[k] = load_raw<V>(residual + first + k * step);
    }
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      if (row + k * sizes.height >= at.end) continue;
      float x[V], z[V];
      unpack(x, values[k]);
      normalise.apply(z, x);
      if (residual) {
        unpack(x, residuals[k]);
#pragma unroll
        for (int i = 0; i < V; i++) z[i] += x[i];
      }
#pragma unroll
      for (int i = 0; i < V; i++) z[i] = activation.value(z[i]);
      store(out + first + k * step, z);
    }
  }
}

// What one thread of the backward passes has under way: dout, y and, where it is given, out, from
// which the derivative follows then (not that of gelu and silu).
template <class T, int V, int kind, int rows>
struct GradientRows {
  Vector<T, V> dout[rows], y[rows], out[rows];

  DEVICE void load(int k, const T* dout_, const T* y_, const T* out_, int64_t at) {
    dout[k] = load_raw<V>(dout_ + at);
    y[k] = load_raw<V>(y_ + at);
    if (kind == kNone && out_) out[k] = load_raw<V>(out_ + at);
  }
  DEVICE void gradient(float (&dz)[V], float (&y_)[V], int k, bool has_out,
                       ActivationOf<kind> activation,
                       const ChannelNormalisation<V>& normalise) const {
    float z[V];
    unpack(dz, dout[k]);
    unpack(y_, y[k]);
    if (kind == kNone && has_out) {
      unpack(z, out[k]);
    } else {
      normalise.apply(z, y_);
    }
#pragma unroll
    for (int i = 0; i < V; i++) dz[i] = activation.gradient(dz[i], z[i]);
  }
};

// partials [row blocks, channels, 2]: sums of dz and of dz (y - mean). Memory: reads dout, y (and
// out): 2 or 3 times the element.
template <class T, int V, int kind>
__global__ void __launch_bounds__(kThreads, 2)
    gradient_sums_kernel(float* partials, const T* dout, const T* out, const T* y, Normalisation by,
                         ActivationOf<kind> activation, ChannelRows sizes) {
  constexpr int kTogether = 2;
  const ChannelThread at = channel_thread<V>(sizes);
  const ChannelNormalisation<V> normalise(by, at);
  const int64_t step = int64_t{sizes.height} * sizes.channels;
  float sums[2 * V] = {};
  for (int64_t row = at.row; row < at.end; row += kTogether * sizes.height) {
    const int64_t first = row * sizes.channels + at.channel;
    GradientRows<T, V, kind, kTogether> read;
#pragma unroll
    for (int k = 0; k < kTogether; k++)
      if (row + k * sizes.height < at.end) read.load(k, dout, y, out, first + k * step);
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      if (row + k * sizes.height >= at.end) continue;
      float dz[V], values[V];
      read.gradient(dz, values, k, out != nullptr, activation, normalise);
#pragma unroll
      for (int i = 0; i < V; i++) {
        sums[2 * i] += dz[i];
        sums[2 * i + 1] = fmaf(dz[i], values[i] - normalise.mean[i], sums[2 * i + 1]);
      }
    }
  }
  sum_rows<kThreads>(sums);
  if (threadIdx.y == 0 && at.active)
    store(partials + 2 * (at.row_block * sizes.channels + at.channel), sums);
}

// dbeta, dgamma, and how dy depends on y: dy = scale dz + by_y (y - mean) + constant.
__global__ void gradient_statistics_kernel(float* dgamma, float* dbeta, float* by_y,
                                           float* constant, const float* partials, int64_t rows,
                                           Normalisation by, ChannelRows sizes) {
  const ChannelThread at = channel_thread<1>(sizes);
  float sums[2] = {};
#pragma unroll 8
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    float pair[2];
    load(pair, partials + 2 * (row * sizes.channels + at.channel));
    sums[0] += pair[0];
    sums[1] += pair[1];
  }
  sum_rows<kMergeThreads>(sums);
  if (threadIdx.y != 0 || !at.active) return;
  const int c = at.channel;
  const float rstd = by.rstd[c];
  const float share = by.gamma[c] * rstd / static_cast<float>(rows);
  if (dbeta) dbeta[c] = sums[0];
  if (dgamma) dgamma[c] = sums[1] * rstd;
  constant[c] = -share * sums[0];
  by_y[c] = -share * rstd * rstd * sums[1];
}

// dy over y; dresidual(?) = dz. Memory: reads dout, y (and out), writes dy (and dresidual): 3 to 5
// times the element.
template <class T, int V, int kind>
__global__ void __launch_bounds__(kThreads, 2)
    gradient_of_y_kernel(T* y, T* dresidual, const T* dout, const T* out, const float* by_y,
                         const float* constant, Normalisation by, ActivationOf<kind> activation,
                         ChannelRows sizes) {
  constexpr int kTogether = 2;
  const ChannelThread at = channel_thread<V>(sizes);
  const ChannelNormalisation<V> normalise(by, at);
  float slope[V], offset[V];
  if (at.active) {
    load(slope, by_y + at.channel);
    load(offset, constant + at.channel);
  }
  const int64_t step = int64_t{sizes.height} * sizes.channels;
  for (int64_t row = at.row; row < at.end; row += kTogether * sizes.height) {
    const int64_t first = row * sizes.channels + at.channel;
    GradientRows<T, V, kind, kTogether> read;
#pragma unroll
    for (int k = 0; k < kTogether; k++)
      if (row + k * sizes.height < at.end) read.load(k, dout, y, out, first + k * step);
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      if (row + k * sizes.height >= at.end) continue;
      float dz[V], values[V];
      read.gradient(dz, values, k, out != nullptr, activation, normalise);
      if (dresidual) store(dresidual + first + k * step, dz);
#pragma unroll
      for (int i = 0; i < V; i++)
        values[i] = fmaf(normalise.scale[i], dz[i],
                         fmaf(slope[i], values[i] - normalise.mean[i], offset[i]));
      store(y + first + k * step, values);
    }
  }
}

// Partial results of all row blocks, or of some of them at a time.
ChannelRows merge_sizes(int64_t tiles, int channels, bool all) {
  return channel_rows(tiles, channels, 1, kMergeThreads, 8, all ? 1 : kMostSumBlocks, kWidth);
}

float* scratch_floats(int64_t count, Stream& stream) {
  return static_cast<float*>(stream.scratch(sizeof(float) * static_cast<size_t>(count)));
}

MomentTiles moments_of(Tensor y, Stream& stream) {
  MomentTiles result;
  with_float_type(y, [&]<class T>(T) {
    const bool wide = aligned(y) && y.columns() % kVector<T> == 0;
    with_channel_vector<T>(wide, [&](auto vector) {
      const ChannelRows sizes =
          channel_rows(y.rows(), y.columns(), vector(), kThreads, 16, kMostSumBlocks, kWidth);
      float* values = scratch_floats(2 * sizes.row_blocks * sizes.channels, stream);
      float* counts = scratch_floats(sizes.row_blocks, stream);
      launch(moments_kernel<T, vector()>, sizes.grid(), sizes.threads(), 0, stream, values, counts,
             data<T>(y), sizes);
      result = {values, counts, sizes.row_blocks};
    });
  });
  return result;
}

// So many tiles that one block per 32 channels would read them slowly are merged in two steps.
MomentTiles merge_many(MomentTiles tiles, int64_t rows, int channels, Stream& stream) {
  if (tiles.tiles <= 256) return tiles;
  const ChannelRows sizes = merge_sizes(tiles.tiles, channels, false);
  float* values = scratch_floats(2 * sizes.row_blocks * channels, stream);
  float* counts = scratch_floats(sizes.row_blocks, stream);
  launch(merge_moments_kernel, sizes.grid(), sizes.threads(), 0, stream, values, counts, tiles,
         rows, sizes);
  return {values, counts, sizes.row_blocks};
}

// Sizes of a pass that handles each element by itself.
ChannelRows element_sizes(Tensor y, int vector) {
  return channel_rows(y.rows(), y.columns(), vector, kThreads, 8, INT32_MAX, kWidth);
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void convolution_batch_norm(Tensor out, Tensor y, Tensor mean, Tensor rstd, Tensor running_mean,
                            Tensor running_var, Tensor x, Tensor weight, Tensor gamma, Tensor beta,
                            Tensor residual, int stride, int pad_top, int pad_left, int groups,
                            int activation, float momentum, float epsilon, Stream& stream) {
  if (!y) y = out;
  const int channels = y.columns();
  const int64_t rows = y.rows();
  MomentTiles tiles = convolve_with_moments(
      y.data, x.data, weight.data,
      describe_convolution(x, weight, y, stride, pad_top, pad_left, groups), stream);
  if (tiles.tiles == 0) tiles = moments_of(y, stream);
  tiles = merge_many(tiles, rows, channels, stream);

  float* means = mean ? data<float>(mean) : scratch_floats(channels, stream);
  float* rstds = rstd ? data<float>(rstd) : scratch_floats(channels, stream);
  const ChannelRows sizes = merge_sizes(tiles.tiles, channels, true);
  launch(statistics_kernel, sizes.grid(), sizes.threads(), 0, stream, means, rstds,
         data<float>(running_mean), data<float>(running_var), tiles, rows, momentum, epsilon,
         sizes);

  const Normalisation by{means, rstds, data<float>(gamma), data<float>(beta)};
  with_pass(y, aligned(out, y, mean, rstd, gamma, beta, residual), activation,
            [&]<class T, int kind>(T, auto vector, ActivationOf<kind> f) {
              const ChannelRows all = element_sizes(y, vector());
              launch(normalise_kernel<T, vector(), kind>, all.grid(), all.threads(), 0, stream,
                     data<T>(out), data<T>(y), data<T>(residual), by, f, all);
            });
}

void convolution_batch_norm_backward(Tensor dx, Tensor dweight, Tensor dgamma, Tensor dbeta,
                                     Tensor dresidual, Tensor dout, Tensor out, Tensor y,
                                     Tensor mean, Tensor rstd, Tensor x, Tensor weight,
                                     Tensor gamma, Tensor beta, int stride, int pad_top,
                                     int pad_left, int groups, int activation, Stream& stream) {
  const int channels = y.columns();
  const Normalisation by{data<float>(mean), data<float>(rstd), data<float>(gamma),
                         data<float>(beta)};
  if (activation == kNone) out = {};  // its derivative needs nothing
  float* by_y = scratch_floats(channels, stream);
  float* constant = scratch_floats(channels, stream);
  with_pass(y, aligned(dresidual, dout, out, y, mean, rstd, gamma, beta), activation,
            [&]<class T, int kind>(T, auto vector, ActivationOf<kind> f) {
              const ChannelRows parts =
                  channel_rows(y.rows(), channels, vector(), kThreads, 16, kMostSumBlocks, kWidth);
              float* partials = scratch_floats(2 * parts.row_blocks * channels, stream);
              launch(gradient_sums_kernel<T, vector(), kind>, parts.grid(), parts.threads(), 0,
                     stream, partials, data<T>(dout), data<T>(out), data<T>(y), by, f, parts);
              const ChannelRows merged = merge_sizes(parts.row_blocks, channels, true);
              launch(gradient_statistics_kernel, merged.grid(), merged.threads(), 0, stream,
                     data<float>(dgamma), data<float>(dbeta), by_y, constant, partials, y.rows(),
                     by, merged);
              const ChannelRows all = element_sizes(y, vector());
              launch(gradient_of_y_kernel<T, vector(), kind>, all.grid(), all.threads(), 0, stream,
                     data<T>(y), data<T>(dresidual), data<T>(dout), data<T>(out), by_y, constant,
                     by, f, all);
            });
  const Convolution sizes = describe_convolution(x, weight, y, stride, pad_top, pad_left, groups);
  if (dx) convolve_input_gradient(dx.data, y.data, weight.data, sizes, stream);
  if (dweight) convolve_weight_gradient(data<float>(dweight), y.data, x.data, sizes, stream);
}

}  // namespace cuda
