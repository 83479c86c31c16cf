// Depthwise convolution (a filter of its own for each channel) with 3 x 3 or 5 x 5 taps and stride
// 1 or 2, and its gradients. Bound by memory, if few instructions are spent: a thread keeps the
// filters of a few neighbouring channels in registers and slides down the image over a strip of
// columns, so that it reads each row of its strip once, one ahead of the sums. Other sizes:
// convolution.cu.
#include "convolution.h"
#include "device/activation.cuh"
#include "device/channel_rows.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
namespace {

constexpr int kThreads = 128;

// Columns of the output (of dout in the gradients) of a thread.
template <int stride>
constexpr int kColumnsOf = stride == 1 ? 4 : 2;

// Blocks of a multiprocessor, so that registers allow enough loads under way.
template <class T>
constexpr int kBlocks = sizeof(T) == 2 ? 3 : 2;

// Channels of a thread: as many as let filters, sums and the row under way fit into registers. With
// 32 threads side by side accesses are 256 (128) bytes of bf16 a row.
template <int taps>
constexpr int kChannels = taps == 3 ? 4 : 2;

// x [batch, height, width, channels] to out [batch, out_height, out_width, channels], and how the
// work is cut: an item is `segment` rows of a strip of columns of one image.
struct Strips {
  int height, width, out_height, out_width, channels, pad_top, pad_left;
  int segment, segments, strips;
};

// Of an item's strip: its image, its first row and the row after its last, its first column.
struct Strip {
  int image, row, end, column;

  DEVICE Strip(const Strips& sizes, int rows, int columns, int64_t item) {
    const int64_t above = item / sizes.strips;
    column = static_cast<int>(item - above * sizes.strips) * columns;
    image = static_cast<int>(above / sizes.segments);
    row = static_cast<int>(above - int64_t{image} * sizes.segments) * sizes.segment;
    end = min(row + sizes.segment, rows);
  }
};

// Rows of `columns` neighbouring pixels of one image; zeros outside it.
template <class T, int V, int columns>
struct RowReader {
  const T* first;  // the thread's channels of the row's first pixel, at row 0; may lie outside
  int64_t row_stride;
  int channels, height;
  uint32_t inside = 0;  // columns that lie in the image

  DEVICE RowReader(const T* x, int image, int height_, int width, int channels_, int channel,
                   int column)
      : first(x + (int64_t{image} * height_ * width + column) * channels_ + channel),
        row_stride(int64_t{width} * channels_),
        channels(channels_),
        height(height_) {
#pragma unroll
    for (int i = 0; i < columns; i++)
      inside |= static_cast<uint32_t>(column + i >= 0 && column + i < width) << i;
  }
  DEVICE void read(Vector<T, V> (&to)[columns], int row) const {
    const uint32_t wanted = row >= 0 && row < height ? inside : 0;
    const T* p = first + row * row_stride;
#pragma unroll
    for (int i = 0; i < columns; i++) {
      to[i] = Vector<T, V>{};
      if (wanted >> i & 1) to[i] = load_raw<V>(p + i * channels);
    }
  }
};

// filters[tap][i]: those of the thread's channels, which lie one after another.
template <int taps, int V, class T>
DEVICE void load_filters(float (&filters)[taps * taps][V], const T* weight, int channel) {
  constexpr int size = taps * taps;
#pragma unroll
  for (int k = 0; k < size; k++) {
    float some[V];
    load(some, weight + int64_t{channel} * size + k * V);
#pragma unroll
    for (int i = 0; i < V; i++) filters[(k * V + i) % size][(k * V + i) / size] = some[i];
  }
}

// What becomes of the sums; as gemm's epilogue, where the residual comes first.
struct DepthwiseEpilogue {
  const float* bias;
  const void* residual;
  int activation;
};

// With `moments` the block leaves those of its float32 sums instead of an epilogue. flipped: taps
// in reverse order, which makes the input gradient of stride 1. Memory: reads x, writes out, once
// each.
template <class T, int taps, int stride, bool moments>
__global__ void __launch_bounds__(kThreads, kBlocks<T>)
    depthwise_kernel(T* out, const T* x, const T* weight, float* values, float* counts,
                     DepthwiseEpilogue epilogue, bool flipped, Strips sizes, ChannelRows items) {
  constexpr int V = kChannels<taps>;
  constexpr int kStrip = kColumnsOf<stride>;
  constexpr int kLive = (taps + stride - 1) / stride;  // rows of the output that a row of x is in
  constexpr int kColumns = (kStrip - 1) * stride + taps;
  const ChannelThread at = channel_thread<V>(items);
  MomentSums<V> found;
  if (at.row < at.end) {
    const Strip strip(sizes, sizes.out_height, kStrip, at.row);
    const int C = sizes.channels;
    float filters[taps * taps][V], bias[V] = {};
    load_filters<taps>(filters, weight, at.channel);
    if (flipped) {
#pragma unroll
      for (int k = 0; k < taps * taps / 2; k++)
#pragma unroll
        for (int i = 0; i < V; i++) {
          const float other = filters[taps * taps - 1 - k][i];
          filters[taps * taps - 1 - k][i] = filters[k][i];
          filters[k][i] = other;
        }
    }
    if (!moments && epilogue.bias) load(bias, epilogue.bias + at.channel);

    // sums[a]: of row p + a of the output
    float sums[kLive][kStrip][V] = {};
    const RowReader<T, V, kColumns> reader(x, strip.image, sizes.height, sizes.width, C, at.channel,
                                           strip.column * stride - sizes.pad_left);
    Vector<T, V> ahead[kColumns];
    int h = strip.row * stride - sizes.pad_top;
    reader.read(ahead, h);
    for (int p = strip.row - (kLive - 1); p < strip.end; p++) {
#pragma unroll
      for (int j = 0; j < stride; j++) {
        Vector<T, V> row[kColumns];
#pragma unroll
        for (int i = 0; i < kColumns; i++) row[i] = ahead[i];
        reader.read(ahead, ++h);
#pragma unroll
        for (int column = 0; column < kColumns; column++) {
          float pixel[V];
          unpack(pixel, row[column]);
#pragma unroll
          for (int a = 0; a < kLive; a++) {
            const int r = (kLive - 1 - a) * stride + j;
            if (r >= taps) continue;
#pragma unroll
            for (int q = 0; q < kStrip; q++) {
              const int s = column - q * stride;
              if (s < 0 || s >= taps) continue;
#pragma unroll
              for (int i = 0; i < V; i++)
                sums[a][q][i] = fmaf(pixel[i], filters[r * taps + s][i], sums[a][q][i]);
            }
          }
        }
      }
      if (p >= strip.row) {
        const int64_t first =
            ((int64_t{strip.image} * sizes.out_height + p) * sizes.out_width + strip.column) * C +
            at.channel;
#pragma unroll
        for (int q = 0; q < kStrip; q++) {
          if (strip.column + q >= sizes.out_width) continue;
          if constexpr (moments) {
            found.add(sums[0][q]);
          } else {
            float residual[V] = {};
            if (epilogue.residual)
              load(residual, static_cast<const T*>(epilogue.residual) + first + q * C);
#pragma unroll
            for (int i = 0; i < V; i++) sums[0][q][i] += bias[i] + residual[i];
            activate_all(epilogue.activation, sums[0][q]);
          }
          store(out + first + q * C, sums[0][q]);
        }
      }
#pragma unroll
      for (int a = 0; a < kLive; a++)
#pragma unroll
        for (int q = 0; q < kStrip; q++)
#pragma unroll
          for (int i = 0; i < V; i++) sums[a][q][i] = a + 1 < kLive ? sums[a + 1][q][i] : 0.0f;
    }
  }
  if constexpr (moments) {
    ChannelMoments<V> all = found.moments();
    store_moments<kThreads>(values, counts, all, at, items);
  }
}

// The input gradient of stride 2. Rows 2u and 2u + 1 of the padded dx come from rows u, u - 1 .. of
// dout, even ones through even taps and odd ones through odd taps; columns alike. Here an item's
// rows and columns are those of u. Memory: reads dout, writes dx, once each.
template <class T, int taps>
__global__ void __launch_bounds__(kThreads, kBlocks<T>)
    depthwise_spread_kernel(T* dx, const T* dout, const T* weight, Strips sizes, int rows,
                            ChannelRows items) {
  constexpr int V = kChannels<taps>;
  constexpr int kStrip = kColumnsOf<2>;
  constexpr int kLive = (taps + 1) / 2;  // rows of dout that a row of dx is in
  constexpr int kColumns = kStrip + kLive - 1;
  const ChannelThread at = channel_thread<V>(items);
  if (at.row >= at.end) return;
  const Strip strip(sizes, rows, kStrip, at.row);
  const int C = sizes.channels;
  float filters[taps * taps][V];
  load_filters<taps>(filters, weight, at.channel);

  const int first_u = sizes.pad_top / 2 + strip.row;
  const int end_u = sizes.pad_top / 2 + strip.end;
  const int first_v = sizes.pad_left / 2 + strip.column;
  float window[kLive][kColumns][V] = {};  // rows u, u - 1 .. of dout
  const RowReader<T, V, kColumns> reader(dout, strip.image, sizes.out_height, sizes.out_width, C,
                                         at.channel, first_v - (kLive - 1));
  Vector<T, V> ahead[kColumns];
  reader.read(ahead, first_u - (kLive - 1));
  for (int u = first_u - (kLive - 1); u < end_u; u++) {
#pragma unroll
    for (int column = 0; column < kColumns; column++) {
#pragma unroll
      for (int k = kLive - 1; k > 0; k--)
#pragma unroll
        for (int i = 0; i < V; i++) window[k][column][i] = window[k - 1][column][i];
      unpack(window[0][column], ahead[column]);
    }
    reader.read(ahead, u + 1);
    if (u < first_u) continue;
#pragma unroll
    for (int j = 0; j < 2; j++) {
      const int h = 2 * u + j - sizes.pad_top;
      if (h < 0 || h >= sizes.height) continue;
      T* const row = dx + (int64_t{strip.image} * sizes.height + h) * sizes.width * C + at.channel;
#pragma unroll
      for (int column = 0; column < 2 * kStrip; column++) {
        const int w = 2 * first_v + column - sizes.pad_left;
        if (w < 0 || w >= sizes.width) continue;
        float sum[V] = {};
#pragma unroll
        for (int k = 0; j + 2 * k < taps; k++)
#pragma unroll
          for (int m = 0; column % 2 + 2 * m < taps; m++)
#pragma unroll
            for (int i = 0; i < V; i++)
              sum[i] = fmaf(window[k][column / 2 + kLive - 1 - m][i],
                            filters[(j + 2 * k) * taps + column % 2 + 2 * m][i], sum[i]);
        store(row + int64_t{w} * C, sum);
      }
    }
  }
}

// partials [row blocks, channels, taps, taps]: sums over the items of each block. Memory: reads
// dout and x, once each.
template <class T, int taps, int stride>
__global__ void __launch_bounds__(kThreads, kBlocks<T>)
    depthwise_weight_gradient_kernel(float* partials, const T* dout, const T* x, Strips sizes,
                                     ChannelRows items) {
  constexpr int V = kChannels<taps>;
  constexpr int kStrip = kColumnsOf<stride>;
  constexpr int kLive = (taps + stride - 1) / stride;  // rows of dout that meet a row of x
  constexpr int kColumns = (kStrip - 1) * stride + taps;
  const ChannelThread at = channel_thread<V>(items);
  const int C = sizes.channels;
  float sums[taps * taps][V] = {};
  for (int64_t item = at.row; item < at.end; item += items.height) {
    const Strip strip(sizes, sizes.out_height, kStrip, item);
    const RowReader<T, V, kColumns> x_reader(x, strip.image, sizes.height, sizes.width, C,
                                             at.channel, strip.column * stride - sizes.pad_left);
    const RowReader<T, V, kStrip> dout_reader(dout, strip.image, sizes.out_height, sizes.out_width,
                                              C, at.channel, strip.column);
    float window[kLive][kStrip][V] = {};  // rows p .. of dout, zeros outside the item
    Vector<T, V> ahead[kColumns], dout_ahead[kStrip];
    int h = strip.row * stride - sizes.pad_top;
    x_reader.read(ahead, h);
    dout_reader.read(dout_ahead, strip.row);
    for (int p = strip.row - (kLive - 1); p < strip.end; p++) {
#pragma unroll
      for (int q = 0; q < kStrip; q++) {
#pragma unroll
        for (int a = 0; a + 1 < kLive; a++)
#pragma unroll
          for (int i = 0; i < V; i++) window[a][q][i] = window[a + 1][q][i];
        unpack(window[kLive - 1][q], dout_ahead[q]);
      }
      dout_reader.read(dout_ahead, p + kLive < strip.end ? p + kLive : -1);
#pragma unroll
      for (int j = 0; j < stride; j++) {
        Vector<T, V> row[kColumns];
#pragma unroll
        for (int i = 0; i < kColumns; i++) row[i] = ahead[i];
        x_reader.read(ahead, ++h);
#pragma unroll
        for (int column = 0; column < kColumns; column++) {
          float pixel[V];
          unpack(pixel, row[column]);
#pragma unroll
          for (int a = 0; a < kLive; a++) {
            const int r = (kLive - 1 - a) * stride + j;
            if (r >= taps) continue;
#pragma unroll
            for (int q = 0; q < kStrip; q++) {
              const int s = column - q * stride;
              if (s < 0 || s >= taps) continue;
#pragma unroll
              for (int i = 0; i < V; i++)
                sums[r * taps + s][i] = fmaf(pixel[i], window[a][q][i], sums[r * taps + s][i]);
            }
          }
        }
      }
    }
  }

  // Sums over the block's threads, one row of taps at a time.
  SHARED(float, shared, [taps][kThreads * V]);
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  const int block_channels = items.width * V;
  const int first_channel = at.channel - static_cast<int>(threadIdx.x) * V;
#pragma unroll
  for (int r = 0; r < taps; r++) {
#pragma unroll
    for (int s = 0; s < taps; s++)
#pragma unroll
      for (int i = 0; i < V; i++) shared[s][thread * V + i] = sums[r * taps + s][i];
    __syncthreads();
    for (int k = thread; k < taps * block_channels; k += items.width * items.height) {
      const int s = k / block_channels;
      const int channel = k - s * block_channels;
      float sum = 0.0f;
      for (int y = 0; y < items.height; y++) sum += shared[s][y * block_channels + channel];
      if (first_channel + channel < C)
        partials[((at.row_block * C + first_channel + channel) * taps + r) * taps + s] = sum;
    }
    __syncthreads();
  }
}

// Enough threads for the largest GPUs (132 multiprocessors, 400 threads each, twice), but segments
// of at least four rows, because the first rows of each are read twice.
constexpr int64_t kEnoughThreads = 100'000;
constexpr int kLeastSegment = 4;

Strips cut(const ConvolutionShape& shape, int rows, int columns, int vector) {
  Strips s{};
  s.height = shape.height;
  s.width = shape.width;
  s.out_height = shape.out_height;
  s.out_width = shape.out_width;
  s.channels = shape.channels;
  s.pad_top = shape.pad_top;
  s.pad_left = shape.pad_left;
  s.strips = ceil_div(columns, shape.stride == 1 ? kColumnsOf<1> : kColumnsOf<2>);
  const int64_t threads = int64_t{shape.batch} * s.strips * ceil_div(shape.channels, vector);
  const int wanted = static_cast<int>(
      std::clamp<int64_t>(ceil_div(kEnoughThreads, threads), 1, std::max(rows / kLeastSegment, 1)));
  s.segment = ceil_div(rows, wanted);
  s.segments = ceil_div(rows, s.segment);
  return s;
}

ChannelRows items_of(const Strips& strips, int batch, int vector) {
  return channel_rows(int64_t{batch} * strips.segments * strips.strips, strips.channels, vector,
                      kThreads, 1, INT32_MAX, 32);
}

// Calls body(T{}, taps, stride), the last two as constants.
template <class Body>
void with_kernel(const Convolution& sizes, Body body) {
  using std::integral_constant;
  const auto with_stride = [&](auto type, auto taps) {
    if (sizes.shape.stride == 1) {
      body(type, taps, integral_constant<int, 1>{});
    } else {
      body(type, taps, integral_constant<int, 2>{});
    }
  };
  const auto with_taps = [&](auto type) {
    if (sizes.shape.taps_h == 3) {
      with_stride(type, integral_constant<int, 3>{});
    } else {
      with_stride(type, integral_constant<int, 5>{});
    }
  };
  if (sizes.dtype == Dtype::float32) {
    with_taps(float{});
  } else {
    with_taps(bf16{});
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

bool depthwise_takes(const Convolution& sizes, std::initializer_list<const void*> data) {
  const ConvolutionShape& s = sizes.shape;
  const bool one_each = sizes.groups == s.channels && sizes.groups == s.filters;
  const bool taps = s.taps_h == s.taps_w && (s.taps_h == 3 || s.taps_h == 5);
  const int vector = s.taps_h == 3 ? kChannels<3> : kChannels<5>;
  return one_each && taps && s.stride <= 2 && s.channels % vector == 0 &&
         std::all_of(data.begin(), data.end(),
                     [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; });
}

void depthwise(void* out, const void* x, const void* weight, const Convolution& sizes,
               const Epilogue& epilogue, Stream& stream) {
  const ConvolutionShape& s = sizes.shape;
  with_kernel(sizes, [&]<class T>(T, auto taps, auto stride) {
    constexpr int vector = kChannels<taps()>;
    const Strips strips = cut(s, s.out_height, s.out_width, vector);
    const ChannelRows items = items_of(strips, s.batch, vector);
    const DepthwiseEpilogue ending{epilogue.bias, epilogue.residual, epilogue.activation};
    launch(depthwise_kernel<T, taps(), stride(), false>, items.grid(), items.threads(), 0, stream,
           static_cast<T*>(out), static_cast<const T*>(x), static_cast<const T*>(weight), nullptr,
           nullptr, ending, false, strips, items);
  });
}

MomentTiles depthwise_with_moments(void* out, const void* x, const void* weight,
                                   const Convolution& sizes, Stream& stream) {
  MomentTiles result;
  const ConvolutionShape& s = sizes.shape;
  with_kernel(sizes, [&]<class T>(T, auto taps, auto stride) {
    constexpr int vector = kChannels<taps()>;
    const Strips strips = cut(s, s.out_height, s.out_width, vector);
    const ChannelRows items = items_of(strips, s.batch, vector);
    auto* values = static_cast<float*>(
        stream.scratch(sizeof(float) * 2 * static_cast<size_t>(items.row_blocks * s.channels)));
    auto* counts =
        static_cast<float*>(stream.scratch(sizeof(float) * static_cast<size_t>(items.row_blocks)));
    launch(depthwise_kernel<T, taps(), stride(), true>, items.grid(), items.threads(), 0, stream,
           static_cast<T*>(out), static_cast<const T*>(x), static_cast<const T*>(weight), values,
           counts, DepthwiseEpilogue{}, false, strips, items);
    result = {values, counts, items.row_blocks};
  });
  return result;
}

void depthwise_input_gradient(void* dx, const void* dout, const void* weight,
                              const Convolution& sizes, Stream& stream) {
  const ConvolutionShape& s = sizes.shape;
  with_kernel(sizes, [&]<class T>(T, auto taps, auto stride) {
    constexpr int vector = kChannels<taps()>;
    if constexpr (stride() == 1) {
      ConvolutionShape back = s;
      std::swap(back.height, back.out_height);
      std::swap(back.width, back.out_width);
      back.pad_top = taps() - 1 - s.pad_top;
      back.pad_left = taps() - 1 - s.pad_left;
      const Strips strips = cut(back, back.out_height, back.out_width, vector);
      const ChannelRows items = items_of(strips, s.batch, vector);
      launch(depthwise_kernel<T, taps(), 1, false>, items.grid(), items.threads(), 0, stream,
             static_cast<T*>(dx), static_cast<const T*>(dout), static_cast<const T*>(weight),
             nullptr, nullptr, DepthwiseEpilogue{}, true, strips, items);
    } else {
      const auto pairs = [](int size, int pad) { return (size - 1 + pad) / 2 - pad / 2 + 1; };
      const int rows = pairs(s.height, s.pad_top);
      const Strips strips = cut(s, rows, pairs(s.width, s.pad_left), vector);
      const ChannelRows items = items_of(strips, s.batch, vector);
      launch(depthwise_spread_kernel<T, taps()>, items.grid(), items.threads(), 0, stream,
             static_cast<T*>(dx), static_cast<const T*>(dout), static_cast<const T*>(weight),
             strips, rows, items);
    }
  });
}

void depthwise_weight_gradient(float* dweight, const void* dout, const void* x,
                               const Convolution& sizes, Stream& stream) {
  const ConvolutionShape& s = sizes.shape;
  with_kernel(sizes, [&]<class T>(T, auto taps, auto stride) {
    constexpr int vector = kChannels<taps()>;
    const Strips strips = cut(s, s.out_height, s.out_width, vector);
    // Blocks of few channels and many items: the fewer row blocks, the fewer partial sums, which
    // are to be less than an eighth of what is read.
    const int width = 16;
    const int filters = s.channels * taps() * taps();
    const int64_t read = int64_t{s.batch} * s.channels * static_cast<int64_t>(sizeof(T)) *
                         (int64_t{s.height} * s.width + int64_t{s.out_height} * s.out_width);
    const int64_t row_blocks = read / 8 / (2 * static_cast<int64_t>(sizeof(float)) * filters);
    const int channel_blocks = ceil_div(s.channels / vector, width);
    const int64_t most = std::min<int64_t>(std::max<int64_t>(row_blocks, 1) * channel_blocks, 1056);
    const ChannelRows items = channel_rows(int64_t{s.batch} * strips.segments * strips.strips,
                                           s.channels, vector, kThreads, 1, most, width);
    auto* partials = static_cast<float*>(
        stream.scratch(sizeof(float) * static_cast<size_t>(items.row_blocks * filters)));
    launch(depthwise_weight_gradient_kernel<T, taps(), stride()>, items.grid(), items.threads(), 0,
           stream, partials, static_cast<const T*>(dout), static_cast<const T*>(x), strips, items);
    column_sums(dweight, partials, Dtype::float32, items.row_blocks, filters, filters, stream);
  });
}

}  // namespace cuda
