// Kernels of the attending LSTM's way through time; the products between them are gemm/'s. A step
// waits for memory and for launches, not for arithmetic.
#pragma once
#include "../device/reduce.cuh"
#include "../device/vector.cuh"
#include "rows.cuh"

namespace cuda::lstm {

constexpr int kAttendThreads = 128;

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// h and c [R, D] by place: rows of h_from and c_from, those of the images or, where there are
// parents (`stride` apart), theirs.
template <class T, class C>
__global__ void __launch_bounds__(kThreads)
    begin_step_kernel(T* h, float* c, const T* h_from, const C* c_from, const int* parents,
                      int stride, bool by_image, Places places, int rows, int hidden) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= int64_t{rows} * hidden) return;
  const int place = static_cast<int>(i / hidden);
  int from = by_image ? places.image(place) : place;
  if (parents) from = min(max(parents[int64_t{place} * stride], 0), rows - 1);
  const int64_t at = int64_t{from} * hidden + i % hidden;
  h[i] = h_from[at];
  c[i] = to_float(c_from[at]);
}

template <class T>
struct AttendStep {
  T* gated;  // [R, F] by place
  T* alpha;  // [N, S] by token; null: not wanted, as those below
  T *query, *context, *gate;
  const float* products;  // [R, A + F + 4D] by place
  const float *decoder_bias, *gate_bias;
  const T *keys, *memory, *score_weight;
  Places places;
  Sizes z;
  int step;
};

// Scores of all cells into shared memory, a warp a cell, then softmax. `query` and `scores` are
// shared.
template <int N, class T>
DEVICE void attend_cells(float* scores, const float* query, const T* keys, const T* weight,
                         int cells, int attention) {
  for (int s = uniform(warp_id()); s < cells; s += kAttendThreads / 32) {
    float sum = 0.0f;
    // Not unrolled: the registers that it would take are spilled on some architectures.
#pragma unroll 1
    for (int base = 0; base < attention; base += 32 * N) {
      const int a = base + lane_id() * N;
      if (a >= attention) continue;
      float k[N], w[N];
      load(k, keys + int64_t{s} * attention + a);
      load(w, weight + a);
#pragma unroll
      for (int i = 0; i < N; i++) sum = fmaf(w[i], fmaxf(k[i] + query[a + i], 0.0f), sum);
    }
    sum = warp_sum(sum);
    if (lane_id() == 0) scores[s] = sum;
  }
  __syncthreads();
  float largest = -INFINITY;
  for (int s = static_cast<int>(threadIdx.x); s < cells; s += kAttendThreads)
    largest = fmaxf(largest, scores[s]);
  largest = block_max<kAttendThreads>(largest);
  float total = 0.0f;
  for (int s = static_cast<int>(threadIdx.x); s < cells; s += kAttendThreads) {
    const float x = expf(scores[s] - largest);
    scores[s] = x;
    total += x;
  }
  const float factor = 1.0f / block_sum<kAttendThreads>(total);
  for (int s = static_cast<int>(threadIdx.x); s < cells; s += kAttendThreads) scores[s] *= factor;
  __syncthreads();
}

// Block (place, part): where the row looks, and N features a thread of what it sees. Every part
// asks anew where to look, which costs a quarter of reading the cells. Bound by memory: keys and
// cells of an image once for each of its rows, mostly from the second-level cache.
template <class T, int N>
__global__ void __launch_bounds__(kAttendThreads) attend_kernel(AttendStep<T> p) {
  const Sizes& z = p.z;
  float* query = dynamic_shared<float>();
  float* scores = query + (z.attention + 3) / 4 * 4;
  const int place = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int f = (static_cast<int>(blockIdx.y) * kAttendThreads + thread) * N;
  T* gated_at = p.gated + int64_t{place} * z.features + f;
  const int token = uniform(p.places.token(place, p.step));
  if (token < 0) {
    // The product takes the row along.
    const float zeros[N] = {};
    if (f < z.features) store(gated_at, zeros);
  } else {
    const int64_t cell0 = int64_t{p.places.image(place)} * z.cells;
    const float* products = p.products + int64_t{place} * z.products();
    const bool first = blockIdx.y == 0;
    // Rounded as it is kept, so that the gradient sees the same cells above the relu's corner.
    for (int a = thread; a < z.attention; a += kAttendThreads) {
      const T rounded = from_float<T>(products[a] + p.decoder_bias[a]);
      query[a] = to_float(rounded);
      if (first && p.query) p.query[int64_t{token} * z.attention + a] = rounded;
    }
    __syncthreads();
    attend_cells<N>(scores, query, p.keys + cell0 * z.attention, p.score_weight, z.cells,
                    z.attention);
    if (first && p.alpha)
      for (int s = thread; s < z.cells; s += kAttendThreads)
        p.alpha[int64_t{token} * z.cells + s] = from_float<T>(scores[s]);

    if (f < z.features) {
      float sum[N] = {};
      const T* memory = p.memory + cell0 * z.features + f;
#pragma unroll 8
      for (int s = 0; s < z.cells; s++) {
        float m[N];
        load(m, memory + int64_t{s} * z.features);
        const float share = scores[s];
#pragma unroll
        for (int i = 0; i < N; i++) sum[i] = fmaf(share, m[i], sum[i]);
      }
      float gate[N], gated[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        gate[i] = sigmoid(products[z.attention + f + i] + p.gate_bias[f + i]);
        gated[i] = gate[i] * sum[i];
      }
      store(gated_at, gated);
      if (p.context) store(p.context + int64_t{token} * z.features + f, sum);
      if (p.gate) store(p.gate + int64_t{token} * z.features + f, gate);
    }
  }
}

template <class T>
struct CellStep {
  T* hidden;                      // [N, D] by token
  T* h;                           // [R, D] by place
  float* c;                       // [R, D] by place
  T* gates;                       // [N, 4D] by token; null: not wanted, as cells
  float* cells;                   // [N, D] by token
  const float* c_before;          // [R, D] by place
  const float *products, *words;  // [R, A + F + 4D] by place, [N, 4D] by token
  const float* bias;              // [4D]
  Places places;
  Sizes z;
  int step, rows;
};

// The LSTM's cell, one number of the state a thread.
template <class T>
__global__ void __launch_bounds__(kThreads) cell_kernel(CellStep<T> p) {
  const int D = p.z.hidden;
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= int64_t{p.rows} * D) return;
  const int place = static_cast<int>(i / D);
  const int d = static_cast<int>(i % D);
  const int token = p.places.token(place, p.step);
  if (token < 0) return;
  const float* products = p.products + int64_t{place} * p.z.products() + p.z.gates_begin() + d;
  const float* words = p.words + int64_t{token} * 4 * D + d;
  float x[4];
#pragma unroll
  for (int k = 0; k < 4; k++) x[k] = products[k * D] + words[k * D] + p.bias[k * D + d];
  const float in = sigmoid(x[0]), forget = sigmoid(x[1]), update = tanhf(x[2]);
  const float out = sigmoid(x[3]);
  const float c = forget * p.c_before[i] + in * update;
  const T h = from_float<T>(out * tanhf(c));
  p.c[i] = c;
  p.h[i] = h;
  const int64_t at = int64_t{token} * D + d;
  p.hidden[at] = h;
  if (p.cells) p.cells[at] = c;
  if (p.gates) {
    T* gates = p.gates + int64_t{token} * 4 * D + d;
    gates[0] = from_float<T>(in);
    gates[D] = from_float<T>(forget);
    gates[2 * D] = from_float<T>(update);
    gates[3 * D] = from_float<T>(out);
  }
}

}  // namespace cuda::lstm
