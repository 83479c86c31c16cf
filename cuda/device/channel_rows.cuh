// How blocks share a matrix [rows, channels] when each channel has numbers of its own (batch norm,
// depthwise convolution, sums over rows): a thread keeps some neighbouring channels, so that their
// numbers and sums stay in registers, and visits several rows.
#pragma once
#include <algorithm>

#include "vector.cuh"

namespace cuda {

// Thread (x, y) of a block has the x-th channels of the block and every height-th row of its range.
struct ChannelRows {
  int64_t rows, block_rows, row_blocks;
  int channels, channel_blocks;
  int width, height;  // threads of a block

  dim3 grid() const { return dim3(static_cast<unsigned>(row_blocks * channel_blocks)); }
  dim3 threads() const { return dim3(static_cast<unsigned>(width), static_cast<unsigned>(height)); }
};

// `vector`: channels of a thread. Each thread gets about thread_rows rows, more where otherwise
// there were more than max_blocks blocks.
inline ChannelRows channel_rows(int64_t rows, int channels, int vector, int threads,
                                int thread_rows, int64_t max_blocks, int max_width) {
  ChannelRows s{};
  s.rows = rows;
  s.channels = channels;
  const int vectors = ceil_div(channels, vector);
  s.channel_blocks = ceil_div(vectors, max_width);
  s.width = ceil_div(vectors, s.channel_blocks);
  s.height = static_cast<int>(
      std::clamp<int64_t>(ceil_div<int64_t>(rows, thread_rows), 1, std::max(threads / s.width, 1)));
  const int64_t most = std::max<int64_t>(max_blocks / s.channel_blocks, 1);
  const int64_t blocks =
      std::clamp<int64_t>(ceil_div<int64_t>(rows, int64_t{thread_rows} * s.height), 1, most);
  s.block_rows =
      ceil_div(std::max<int64_t>(ceil_div(rows, blocks), 1), int64_t{s.height}) * s.height;
  s.row_blocks = ceil_div(rows, s.block_rows);
  return s;
}

// Calls body(constant): channels of a thread, a 16-byte access or one.
template <class T, class Body>
void with_channel_vector(bool wide, Body body) {
  if (wide) {
    body(std::integral_constant<int, kVector<T>>{});
  } else {
    body(std::integral_constant<int, 1>{});
  }
}

struct ChannelThread {
  int channel;       // the first of the thread's
  int64_t row, end;  // its first row, and where the block's rows end
  int64_t row_block;
  bool active;  // false: beyond the channels, without rows
};

template <int vector>
DEVICE ChannelThread channel_thread(const ChannelRows& s) {
  ChannelThread t;
  t.row_block = blockIdx.x / s.channel_blocks;
  const int channel_block = static_cast<int>(blockIdx.x - t.row_block * s.channel_blocks);
  t.channel = (channel_block * s.width + static_cast<int>(threadIdx.x)) * vector;
  t.active = t.channel < s.channels;
  t.end = min((t.row_block + 1) * s.block_rows, s.rows);
  t.row = t.active ? t.row_block * s.block_rows + threadIdx.y : t.end;
  return t;
}

// merge(x of one thread, x of another) over the threads of each column of the block, in a fixed
// order; the result is threadIdx.y = 0's. Once a kernel, by all threads of the block, at most
// `threads`.
template <int threads, int N, class Merge>
DEVICE void merge_rows(float (&x)[N], Merge merge) {
  SHARED(float, shared, [N][threads]);
  const int y = static_cast<int>(threadIdx.y);
  const int width = static_cast<int>(blockDim.x);
  const int at = y * width + static_cast<int>(threadIdx.x);
  int count = static_cast<int>(blockDim.y);
  while (count > 1) {
    const int half = (count + 1) / 2;
    if (y >= half && y < count) {
#pragma unroll
      for (int i = 0; i < N; i++) shared[i][at] = x[i];
    }
    __syncthreads();
    if (y < count - half) {
      float other[N];
#pragma unroll
      for (int i = 0; i < N; i++) other[i] = shared[i][at + half * width];
      merge(x, other);
    }
    count = half;  // the next round writes elsewhere, so one barrier is enough
  }
}

// Sums.
template <int threads, int N>
DEVICE void sum_rows(float (&x)[N]) {
  merge_rows<threads>(x, [](float(&mine)[N], const float(&other)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) mine[i] += other[i];
  });
}

// Means and sums of squared deviations of V channels over the same number of rows, laid out so that
// merge_rows takes them (Chan, Golub and LeVeque 1979).
template <int V>
struct ChannelMoments {
  float numbers[2 * V + 1];  // means, sums of squared deviations, count

  DEVICE void clear() {
#pragma unroll
    for (int i = 0; i <= 2 * V; i++) numbers[i] = 0.0f;
  }
  DEVICE static void merge(float (&mine)[2 * V + 1], const float (&other)[2 * V + 1]) {
    const float count = mine[2 * V] + other[2 * V];
    if (count == 0.0f) return;
    const float share = other[2 * V] / count;
    const float weight = mine[2 * V] * share;
#pragma unroll
    for (int i = 0; i < V; i++) {
      const float delta = other[i] - mine[i];
      mine[i] += delta * share;
      mine[V + i] += other[V + i] + delta * delta * weight;
    }
    mine[2 * V] = count;
  }
};

// Joins the threads of each column and leaves the block's tile: values [row blocks, channels, 2],
// counts [row blocks].
template <int threads, int V>
DEVICE void store_moments(float* values, float* counts, ChannelMoments<V>& moments,
                          const ChannelThread& at, const ChannelRows& sizes) {
  merge_rows<threads>(moments.numbers, ChannelMoments<V>::merge);
  if (threadIdx.y != 0 || !at.active) return;
  float pairs[2 * V];
#pragma unroll
  for (int i = 0; i < V; i++) {
    pairs[2 * i] = moments.numbers[i];
    pairs[2 * i + 1] = moments.numbers[V + i];
  }
  store(values + 2 * (at.row_block * sizes.channels + at.channel), pairs);
  if (at.channel == 0) counts[at.row_block] = moments.numbers[2 * V];
}

// The same numbers gathered one after another: sums of deviations from the first value, which lies
// near the mean, so that nothing large cancels (Chan, Golub and LeVeque 1983, shifted data).
template <int V>
struct MomentSums {
  float first[V], sum[V], squares[V];
  float count = 0.0f;

  DEVICE void add(const float (&x)[V]) {
    if (count == 0.0f) {
#pragma unroll
      for (int i = 0; i < V; i++) {
        first[i] = x[i];
        sum[i] = squares[i] = 0.0f;
      }
    } else {
#pragma unroll
      for (int i = 0; i < V; i++) {
        const float d = x[i] - first[i];
        sum[i] += d;
        squares[i] = fmaf(d, d, squares[i]);
      }
    }
    count += 1.0f;
  }
  DEVICE ChannelMoments<V> moments() const {
    ChannelMoments<V> m;
    m.clear();
    if (count == 0.0f) return m;
#pragma unroll
    for (int i = 0; i < V; i++) {
      const float mean = sum[i] / count;
      m.numbers[i] = first[i] + mean;
      m.numbers[V + i] = fmaxf(squares[i] - sum[i] * mean, 0.0f);
    }
    m.numbers[2 * V] = count;
    return m;
  }
};

}  // namespace cuda
