// Rows of a token table plus rows of a position table, and the sums of their gradients. The sums
// need neither a sorted list nor atomics on floats: the block of an id's first token looks through
// the tokens up to the id's last one and adds their rows. Bound by memory bandwidth.
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kTile = 4 * kThreads;         // tokens looked through at a time
constexpr int kLanes = 32;                  // groups of neighbouring columns of a block
constexpr int kPieces = kThreads / kLanes;  // threads that share the sum of a column

// Rows whose ids are outside the tables become NaN, so that the mistake is seen further on.
template <class T, int N>
__global__ void embedding_kernel(T* out, const int* tokens, const int* positions,
                                 const T* token_weight, const T* position_weight, float scale,
                                 int64_t rows, int columns, int vocabulary, int places) {
  const int groups = columns / N;
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= rows * groups) return;
  const int64_t row = i / groups;
  const int column = static_cast<int>(i % groups) * N;
  const int token = tokens[row];
  const int position = positions ? positions[row] : 0;
  float x[N];
  if (token < 0 || token >= vocabulary || (positions && (position < 0 || position >= places))) {
#pragma unroll
    for (int j = 0; j < N; j++) x[j] = NAN;
  } else {
    load(x, token_weight + int64_t{token} * columns + column);
#pragma unroll
    for (int j = 0; j < N; j++) x[j] *= scale;
    if (positions) {
      float p[N];
      load(p, position_weight + int64_t{position} * columns + column);
#pragma unroll
      for (int j = 0; j < N; j++) x[j] += p[j];
    }
  }
  store(out + row * columns + column, x);
}

// dweight [size] = 0; first [ids] and last [ids], the tokens that an id begins and ends at, are
// given values that say nowhere.
template <int N>
__global__ void clear_kernel(float* dweight, int64_t size, int* first, int* last, int ids) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i * N < size) {
    const float zeros[N] = {};
    store(dweight + i * N, zeros);
  }
  if (i < ids) {
    first[i] = INT_MAX;
    last[i] = -1;
  }
}

// Extremes of integers are the same in any order.
__global__ void find_ends_kernel(int* first, int* last, const int* tokens, int rows, int ids) {
  const int row = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (row >= rows) return;
  const int id = tokens[row];
  if (id < 0 || id >= ids) return;
  atomicMin(first + id, row);
  atomicMax(last + id, row);
}

// The rows of `id` among those from `begin` to `end` (at most kTile), in order, into `list`; gives
// how many. All of the block's threads call this; counts is [kWarps].
DEVICE int list_rows(int* list, int* counts, const int* tokens, int id, int begin, int end) {
  // Each warp looks at neighbouring tokens, so that the warps' finds follow one another.
  constexpr int steps = kTile / kThreads;
  const int start = begin + warp_id() * 32 * steps + lane_id();
  unsigned found[steps];
  int count = 0;
#pragma unroll
  for (int step = 0; step < steps; step++) {
    const int row = start + 32 * step;
    found[step] = __ballot_sync(kAllLanes, row < end && tokens[row] == id);
    count += __popc(found[step]);
  }
  if (lane_id() == 0) counts[warp_id()] = count;
  __syncthreads();
  int place = 0;
  int total = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; warp++) {
    if (warp < warp_id()) place += counts[warp];
    total += counts[warp];
  }
  const unsigned before = (1u << lane_id()) - 1;
#pragma unroll
  for (int step = 0; step < steps; step++) {
    if (found[step] >> lane_id() & 1)
      list[place + __popc(found[step] & before)] = start + 32 * step;
    place += __popc(found[step]);
  }
  __syncthreads();
  return total;
}

// Row tokens[i] of dweight = the sum of scale dout over the rows with this token, if row i is the
// first of them; kLanes N columns a block. Thread p of a column adds every kPieces-th row of a
// tile, then the threads' sums are added in order.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    sum_rows_kernel(float* dweight, const T* dout, const int* tokens, const int* first,
                    const int* last, float scale, int columns, int ids) {
  SHARED(int, list, [kTile]);
  SHARED(int, counts, [kWarps]);
  SHARED(float, sums, [kPieces][kLanes * N]);
  const int row = static_cast<int>(blockIdx.x);
  const int id = tokens[row];
  if (id >= 0 && id < ids && first[id] == row) {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    const int piece = static_cast<int>(threadIdx.x) / kLanes;
    const int column = (static_cast<int>(blockIdx.y) * kLanes + lane) * N;
    const bool inside = column < columns;
    const int end = last[id] + 1;
    float sum[N] = {};
    for (int begin = row; begin < end; begin += kTile) {
      const int count = list_rows(list, counts, tokens, id, begin, min(end, begin + kTile));
      if (inside) {
#pragma unroll 4
        for (int i = piece; i < count; i += kPieces) {
          float g[N];
          load(g, dout + int64_t{list[i]} * columns + column);
#pragma unroll
          for (int j = 0; j < N; j++) sum[j] += scale * g[j];
        }
      }
    }
    store(&sums[piece][lane * N], sum);
    __syncthreads();
    if (piece == 0 && inside) {
      for (int other = 1; other < kPieces; other++) {
        float more[N];
        load(more, &sums[other][lane * N]);
#pragma unroll
        for (int j = 0; j < N; j++) sum[j] += more[j];
      }
      store(dweight + int64_t{id} * columns + column, sum);
    }
  }
}

unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>(ceil_div<int64_t>(threads, kThreads));
}

// Calls body(N) with the elements of one access as an integral_constant.
template <class T, class Body>
void with_access(bool together, int columns, Body body) {
  if (together && columns % kVector<T> == 0) {
    body(std::integral_constant<int, kVector<T>>{});
  } else {
    body(std::integral_constant<int, 1>{});
  }
}

void scatter(Tensor dweight, Tensor ids, Tensor dout, float scale, Stream& stream) {
  const int rows = static_cast<int>(ids.size());
  const int count = dweight.shape[0];
  const int columns = dout.columns();
  auto* first = static_cast<int*>(stream.scratch(2 * sizeof(int) * static_cast<size_t>(count)));
  int* last = first + count;
  const bool whole = aligned(dweight) && dweight.size() % 4 == 0;
  launch(whole ? clear_kernel<4> : clear_kernel<1>,
         blocks_for(std::max<int64_t>(count, dweight.size() / (whole ? 4 : 1))), kThreads, 0,
         stream, data<float>(dweight), dweight.size(), first, last, count);
  launch(find_ends_kernel, blocks_for(rows), kThreads, 0, stream, first, last, data<int>(ids), rows,
         count);
  with_float_type(dout, [&]<class T>(T) {
    with_access<T>(aligned(dweight, dout), columns, [&](auto n) {
      const dim3 grid(static_cast<unsigned>(rows),
                      static_cast<unsigned>(ceil_div(columns, kLanes * n())));
      launch(sum_rows_kernel<T, n()>, grid, kThreads, 0, stream, data<float>(dweight),
             data<T>(dout), data<int>(ids), first, last, scale, columns, count);
    });
  });
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void embedding(Tensor out, Tensor tokens, Tensor positions, Tensor token_weight,
               Tensor position_weight, float scale, Stream& stream) {
  with_float_type(out, [&]<class T>(T) {
    with_access<T>(aligned(out, token_weight, position_weight), out.columns(), [&](auto n) {
      launch(embedding_kernel<T, n()>, blocks_for(out.size() / n()), kThreads, 0, stream,
             data<T>(out), data<int>(tokens), data<int>(positions), data<T>(token_weight),
             data<T>(position_weight), scale, tokens.size(), out.columns(), token_weight.shape[0],
             position_weight.shape[0]);
    });
  });
}

void embedding_backward(Tensor dtoken_weight, Tensor dposition_weight, Tensor dout, Tensor tokens,
                        Tensor positions, float scale, Stream& stream) {
  if (dtoken_weight) scatter(dtoken_weight, tokens, dout, scale, stream);
  if (dposition_weight) scatter(dposition_weight, positions, dout, 1.0f, stream);
}

}  // namespace cuda
