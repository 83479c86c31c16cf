// What the kernels of the attending LSTM share: sizes, which token a row works on at a step, and
// what comes before the first step.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../../binding/device.h"
#include "../../binding/tensor.h"
#include "../device/device.cuh"
#include "../runtime/dispatch.h"
#include "../runtime/launch.h"

namespace cuda::lstm {

struct Sizes {
  int rows, rows_per_key, images;
  int cells;      // S
  int features;   // F
  int attention;  // A
  int hidden;     // D
  int embedding;  // E
  int tokens;     // N

  __host__ __device__ int gates() const { return 4 * hidden; }
  int inputs() const { return embedding + features; }  // columns of input_weight
  // Columns query | gate | gates of the products with h, and where the gates begin.
  __host__ __device__ int products() const { return attention + features + 4 * hidden; }
  __host__ __device__ int gates_begin() const { return attention + features; }
};

inline Sizes sizes_of(Tensor x, Tensor memory, Tensor keys, Tensor h0, int rows_per_key) {
  const int images = h0.shape[0];
  return {images * rows_per_key,
          rows_per_key,
          images,
          images > 0 ? memory.shape[0] / images : 0,
          memory.shape[1],
          keys.shape[1],
          h0.shape[1],
          x.shape[1],
          x.shape[0]};
}

// Rows by place: longer captions first, so that those which are alive at a step come first. The
// host does not know how many they are, but no more than most_alive. While decoding every row is
// one token, `order` is null, and a place is its row.
struct Places {
  const int* offsets;
  const int* order;
  int rows_per_key, tokens;

  DEVICE int row(int place) const { return order ? order[place] : place; }
  DEVICE int image(int place) const { return row(place) / rows_per_key; }
  // -1: the caption is over. Offsets that are wrong give wrong results, not wrong addresses.
  DEVICE int token(int place, int step) const {
    if (!order) return place;
    const int r = order[place];
    const int at = offsets[r] + step;
    return at < offsets[r + 1] && at >= 0 && at < tokens ? at : -1;
  }
};

// Captions are sorted by length, so those with more than `step` tokens have (step + 1) each.
inline int most_alive(const Sizes& z, int step) { return std::min(z.rows, z.tokens / (step + 1)); }

constexpr int kThreads = 256;

inline unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>(ceil_div<int64_t>(threads, kThreads));
}

template <class T>
T* scratch(Stream& stream, int64_t count) {
  return static_cast<T*>(stream.scratch(sizeof(T) * static_cast<size_t>(count)));
}

namespace {

// order: rows by falling length, equal ones in their order; place: the way back.
__global__ void __launch_bounds__(kThreads)
    order_rows_kernel(int* order, int* place, const int* offsets, int rows) {
  const int row = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (row >= rows) return;
  const int length = offsets[row + 1] - offsets[row];
  int before = 0;
  for (int other = 0; other < rows; other++) {
    const int its = offsets[other + 1] - offsets[other];
    before += its > length || (its == length && other < row);
  }
  order[before] = row;
  place[row] = before;
}

// packed [A + F + 4D, D]: the weights that multiply h, one under the other.
template <class T>
__global__ void __launch_bounds__(kThreads)
    pack_kernel(T* packed, const T* decoder, const T* gate, const T* hidden, int64_t decoder_size,
                int64_t gate_size, int64_t hidden_size) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= decoder_size + gate_size + hidden_size) return;
  packed[i] = i < decoder_size               ? decoder[i]
              : i < decoder_size + gate_size ? gate[i - decoder_size]
                                             : hidden[i - decoder_size - gate_size];
}

}  // namespace

// Room for rows by place, and back.
struct Order {
  int *order, *place;

  Order(Tensor offsets, const Sizes& z, Stream& stream)
      : order(scratch<int>(stream, z.rows)), place(scratch<int>(stream, z.rows)) {
    launch(order_rows_kernel, blocks_for(z.rows), kThreads, 0, stream, order, place,
           data<int>(offsets), z.rows);
  }
};

inline void pack_weights(void* packed, Tensor decoder, Tensor gate, Tensor hidden, Stream& stream) {
  with_float_type(hidden, [&]<class T>(T) {
    launch(pack_kernel<T>, blocks_for(decoder.size() + gate.size() + hidden.size()), kThreads, 0,
           stream, static_cast<T*>(packed), data<T>(decoder), data<T>(gate), data<T>(hidden),
           decoder.size(), gate.size(), hidden.size());
  });
}

}  // namespace cuda::lstm
