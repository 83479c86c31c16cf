// Maximum over square windows, average over bins that share a map out evenly, and their gradients.
// Bound by memory bandwidth: each map is read and each result written once, what windows share
// comes from the cache. Gradients are gathered, each input pixel from the windows that cover it.
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 128;
constexpr int kGroups = 8;  // of neighbouring channels in a block of average_map_kernel

struct Sizes {
  int B, H, W, C, P, Q;
  int size = 0, stride = 0, pad = 0;  // of the windows of max_pool

  Sizes(const Tensor& x, const Tensor& out)
      : B(x.shape[0]),
        H(x.shape[1]),
        W(x.shape[2]),
        C(x.shape[3]),
        P(out.shape[1]),
        Q(out.shape[2]) {}
  Sizes(const Tensor& x, const Tensor& out, int size, int stride, int pad) : Sizes(x, out) {
    this->size = size;
    this->stride = stride;
    this->pad = pad;
  }
};

// First to last - 1 of the places along one axis, cut at the map's edge.
struct Range {
  int first, last;
  DEVICE int count() const { return last - first; }
};

// What window p covers of `length` pixels.
DEVICE Range pixels_of_window(const Sizes& s, int p, int length) {
  const int start = p * s.stride - s.pad;
  return {max(0, start), min(length, start + s.size)};
}

// The windows, of `count`, that cover pixel h.
DEVICE Range windows_of_pixel(const Sizes& s, int h, int count) {
  const int reach = h + s.pad;
  const int first = reach < s.size ? 0 : (reach - s.size) / s.stride + 1;
  return {first, min(count, reach / s.stride + 1)};
}

// What bin p of `bins` covers of `length` pixels; with the two exchanged, the bins that cover pixel
// p.
DEVICE Range bin(int p, int bins, int length) {
  return {p * length / bins, ceil_div((p + 1) * length, bins)};
}

// Which pixel of a map, and which N channels of it, a thread makes. Blocks in x take rows of all
// maps, blocks in y the pixels and channels of a row.
template <int N>
struct Task {
  int b, row, column, channel;
  bool inside;

  DEVICE Task(int height, int width, int C) {
    const int groups = C / N;
    const int i = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
    b = static_cast<int>(blockIdx.x) / height;
    row = static_cast<int>(blockIdx.x) % height;
    column = i / groups;
    channel = i % groups * N;
    inside = column < width;
  }
};

DEVICE int64_t offset(int b, int row, int column, int channel, int height, int width, int C) {
  return ((int64_t{b} * height + row) * width + column) * C + channel;
}

// NaN wins, so that it is seen further on.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) max_pool_kernel(T* out, const T* x, Sizes s) {
  const Task<N> at(s.P, s.Q, s.C);
  if (!at.inside) return;
  const Range rows = pixels_of_window(s, at.row, s.H);
  const Range columns = pixels_of_window(s, at.column, s.W);
  float best[N];
#pragma unroll
  for (int j = 0; j < N; j++) best[j] = -INFINITY;
  for (int h = rows.first; h < rows.last; h++) {
    for (int w = columns.first; w < columns.last; w++) {
      float value[N];
      load(value, x + offset(at.b, h, w, at.channel, s.H, s.W, s.C));
#pragma unroll
      for (int j = 0; j < N; j++)
        best[j] = value[j] > best[j] || value[j] != value[j] ? value[j] : best[j];
    }
  }
  store(out + offset(at.b, at.row, at.column, at.channel, s.P, s.Q, s.C), best);
}

// A pixel receives a window's gradient if it equals the maximum and no pixel before it does. Pixels
// before it are looked at only if it does for one of the N channels.
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 8)
    max_pool_backward_kernel(T* dx, const T* dout, const T* x, const T* out, Sizes s) {
  const Task<N> at(s.H, s.W, s.C);
  if (!at.inside) return;
  const Range above = windows_of_pixel(s, at.row, s.P);
  const Range beside = windows_of_pixel(s, at.column, s.Q);
  const int64_t place = offset(at.b, at.row, at.column, at.channel, s.H, s.W, s.C);
  float own[N];
  load(own, x + place);
  float sum[N] = {};
  for (int p = above.first; p < above.last; p++) {
    for (int q = beside.first; q < beside.last; q++) {
      const int64_t window = offset(at.b, p, q, at.channel, s.P, s.Q, s.C);
      float best[N];
      load(best, out + window);
      unsigned first = 0;  // bit j: no pixel before this one equals the maximum of channel j
#pragma unroll
      for (int j = 0; j < N; j++) first |= own[j] == best[j] ? 1u << j : 0u;
      if (first == 0) continue;
      const Range columns = pixels_of_window(s, q, s.W);
      for (int h = pixels_of_window(s, p, s.H).first; h <= at.row; h++) {
        const int end = h < at.row ? columns.last : at.column;
#pragma unroll 1
        for (int w = columns.first; w < end; w++) {
          float earlier[N];
          load(earlier, x + offset(at.b, h, w, at.channel, s.H, s.W, s.C));
#pragma unroll
          for (int j = 0; j < N; j++)
            if (earlier[j] == best[j]) first &= ~(1u << j);
        }
      }
      float grad[N];
      load(grad, dout + window);
#pragma unroll
      for (int j = 0; j < N; j++) sum[j] += first >> j & 1 ? grad[j] : 0.0f;
    }
  }
  store(dx + place, sum);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 6) average_bins_kernel(T* out, const T* x, Sizes s) {
  const Task<N> at(s.P, s.Q, s.C);
  if (!at.inside) return;
  const Range rows = bin(at.row, s.P, s.H);
  const Range columns = bin(at.column, s.Q, s.W);
  float sum[N] = {};
  for (int h = rows.first; h < rows.last; h++) {
    for (int w = columns.first; w < columns.last; w++) {
      float value[N];
      load(value, x + offset(at.b, h, w, at.channel, s.H, s.W, s.C));
#pragma unroll
      for (int j = 0; j < N; j++) sum[j] += value[j];
    }
  }
  const float share = 1.0f / static_cast<float>(rows.count() * columns.count());
#pragma unroll
  for (int j = 0; j < N; j++) sum[j] *= share;
  store(out + offset(at.b, at.row, at.column, at.channel, s.P, s.Q, s.C), sum);
}

// The average of a whole map, where windows are too few to keep the GPU busy with a thread each:
// kThreads / kGroups threads share a window, each adding every so many of its pixels in order.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) average_map_kernel(T* out, const T* x, Sizes s) {
  constexpr int pieces = kThreads / kGroups;
  SHARED(float, sums, [pieces][kGroups * N]);
  const int group = static_cast<int>(threadIdx.x) % kGroups;
  const int piece = static_cast<int>(threadIdx.x) / kGroups;
  const int channel = (static_cast<int>(blockIdx.y) * kGroups + group) * N;
  const int b = static_cast<int>(blockIdx.x);
  const bool inside = channel < s.C;
  const int pixels = s.H * s.W;
  float sum[N] = {};
  if (inside) {
#pragma unroll 4
    for (int i = piece; i < pixels; i += pieces) {
      float value[N];
      load(value, x + (int64_t{b} * pixels + i) * s.C + channel);
#pragma unroll
      for (int j = 0; j < N; j++) sum[j] += value[j];
    }
  }
  store(&sums[piece][group * N], sum);
  __syncthreads();
  if (piece == 0 && inside) {
    for (int other = 1; other < pieces; other++) {
      float more[N];
      load(more, &sums[other][group * N]);
#pragma unroll
      for (int j = 0; j < N; j++) sum[j] += more[j];
    }
    const float share = 1.0f / static_cast<float>(pixels);
#pragma unroll
    for (int j = 0; j < N; j++) sum[j] *= share;
    store(out + int64_t{b} * s.C + channel, sum);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    average_bins_backward_kernel(T* dx, const T* dout, Sizes s) {
  const Task<N> at(s.H, s.W, s.C);
  if (!at.inside) return;
  const Range above = bin(at.row, s.H, s.P);
  const Range beside = bin(at.column, s.W, s.Q);
  float sum[N] = {};
  for (int p = above.first; p < above.last; p++) {
#pragma unroll 1
    for (int q = beside.first; q < beside.last; q++) {
      const int count = bin(p, s.P, s.H).count() * bin(q, s.Q, s.W).count();
      const float share = 1.0f / static_cast<float>(count);
      float grad[N];
      load(grad, dout + offset(at.b, p, q, at.channel, s.P, s.Q, s.C));
#pragma unroll
      for (int j = 0; j < N; j++) sum[j] += share * grad[j];
    }
  }
  store(dx + offset(at.b, at.row, at.column, at.channel, s.H, s.W, s.C), sum);
}

// Calls body(T{}, N) with the element type and the channels of one access, an integral_constant.
template <class Body, class... Tensors>
void with_access(Body body, Tensor x, Tensors... others) {
  with_float_type(x, [&]<class T>(T) {
    if (aligned(x, others...) && x.columns() % kVector<T> == 0) {
      body(T{}, std::integral_constant<int, kVector<T>>{});
    } else {
      body(T{}, std::integral_constant<int, 1>{});
    }
  });
}

// Blocks for every pixel of `map`, N channels a thread, as Task reads them.
dim3 blocks_for(const Tensor& map, int N) {
  return dim3(static_cast<unsigned>(map.shape[0] * map.shape[1]),
              static_cast<unsigned>(ceil_div(map.shape[2] * (map.shape[3] / N), kThreads)));
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void max_pool(Tensor out, Tensor x, int size, int stride, int pad, Stream& stream) {
  const Sizes s(x, out, size, stride, pad);
  with_access(
      [&]<class T>(T, auto n) {
        launch(max_pool_kernel<T, n()>, blocks_for(out, n()), kThreads, 0, stream, data<T>(out),
               data<T>(x), s);
      },
      x, out);
}

void max_pool_backward(Tensor dx, Tensor dout, Tensor x, Tensor out, int size, int stride, int pad,
                       Stream& stream) {
  const Sizes s(x, out, size, stride, pad);
  with_access(
      [&]<class T>(T, auto n) {
        launch(max_pool_backward_kernel<T, n()>, blocks_for(dx, n()), kThreads, 0, stream,
               data<T>(dx), data<T>(dout), data<T>(x), data<T>(out), s);
      },
      x, dx, dout, out);
}

void adaptive_average_pool(Tensor out, Tensor x, Stream& stream) {
  const Sizes s(x, out);
  with_access(
      [&]<class T>(T, auto n) {
        if (s.P == 1 && s.Q == 1) {
          const dim3 grid(static_cast<unsigned>(s.B),
                          static_cast<unsigned>(ceil_div(s.C, kGroups * n())));
          launch(average_map_kernel<T, n()>, grid, kThreads, 0, stream, data<T>(out), data<T>(x),
                 s);
        } else {
          launch(average_bins_kernel<T, n()>, blocks_for(out, n()), kThreads, 0, stream,
                 data<T>(out), data<T>(x), s);
        }
      },
      x, out);
}

void adaptive_average_pool_backward(Tensor dx, Tensor dout, Stream& stream) {
  const Sizes s(dx, dout);
  with_access(
      [&]<class T>(T, auto n) {
        launch(average_bins_backward_kernel<T, n()>, blocks_for(dx, n()), kThreads, 0, stream,
               data<T>(dx), data<T>(dout), s);
      },
      dx, dout);
}

}  // namespace cuda
