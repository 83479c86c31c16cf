// Kernels of the gradients of the attending LSTM: two of each step back in time, and those that
// follow once all steps are done.
#pragma once
#include "../device/reduce.cuh"
#include "../device/vector.cuh"
#include "rows.cuh"

namespace cuda::lstm {

// Gradients before sigmoid and tanh in columns query | gate | gates: by place for the products of
// this step, by token for those of the weights.
template <class T>
struct Steps {
  T *by_place, *by_token;
};

template <class T>
struct CellGradient {
  Steps<T> d;
  T* previous;       // [N, D] by token: h before
  const float* dh;   // [R, D] by place: from the step after
  float* dc;         // [R, D] by place, in and out
  const T* dhidden;  // [N, D] by token, as those below
  const T *hidden, *gates;
  const float* cells;
  const T *h0, *c0;  // [B, D]
  Places places;
  Sizes z;
  int step, rows;
};

// One number of the state a thread. A place whose caption is over gets zeros, and passes them on.
template <class T>
__global__ void __launch_bounds__(kThreads) cell_gradient_kernel(CellGradient<T> p) {
  const int D = p.z.hidden;
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= int64_t{p.rows} * D) return;
  const int place = static_cast<int>(i / D);
  const int d = static_cast<int>(i % D);
  const int token = p.places.token(place, p.step);
  float gradients[4] = {};
  if (token >= 0) {
    const int64_t at = int64_t{token} * D + d;
    const int64_t at0 = int64_t{p.places.image(place)} * D + d;
    const T* gates = p.gates + int64_t{token} * 4 * D + d;
    const float in = to_float(gates[0]), forget = to_float(gates[D]);
    const float update = to_float(gates[2 * D]), out = to_float(gates[3 * D]);
    const float c_before = p.step == 0 ? to_float(p.c0[at0]) : p.cells[at - D];
    p.previous[at] = p.step == 0 ? p.h0[at0] : p.hidden[at - D];
    const float t = tanhf(p.cells[at]);
    const float dh = p.dh[i] + to_float(p.dhidden[at]);
    const float dc = p.dc[i] + dh * out * (1.0f - t * t);
    gradients[0] = dc * update * in * (1.0f - in);
    gradients[1] = dc * c_before * forget * (1.0f - forget);
    gradients[2] = dc * in * (1.0f - update * update);
    gradients[3] = dh * t * out * (1.0f - out);
    p.dc[i] = dc * forget;
  }
  const int width = p.z.products();
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const int column = p.z.gates_begin() + k * D + d;
    const T gradient = from_float<T>(gradients[k]);
    p.d.by_place[int64_t{place} * width + column] = gradient;
    if (token >= 0) p.d.by_token[int64_t{token} * width + column] = gradient;
  }
}

template <class T>
struct AttendGradient {
  Steps<T> d;
  T *dcontext, *gated;                               // [N, F] by token
  float* dscores;                                    // [N, S] by token
  const float* dgated;                               // [R, F] by place
  const T *dalpha, *alpha, *query, *context, *gate;  // by token
  const T *keys, *memory, *score_weight;
  Places places;
  Sizes z;
  int step;
};

// A block a place: gradients of the gate, of the shares of cells, and of the query. Bound by
// memory: keys and cells of an image once for each of its rows.
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 4) attend_gradient_kernel(AttendGradient<T> p) {
  const Sizes& z = p.z;
  float* dcontext = dynamic_shared<float>();
  float* dscores = dcontext + (z.features + 3) / 4 * 4;
  const int place = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int token = uniform(p.places.token(place, p.step));
  T* by_place = p.d.by_place + int64_t{place} * z.products();
  if (token < 0) {
    for (int i = thread; i < z.gates_begin(); i += kThreads) by_place[i] = from_float<T>(0.0f);
  } else {
    const int64_t image = p.places.image(place);
    T* by_token = p.d.by_token + int64_t{token} * z.products();
    for (int f = thread; f < z.features; f += kThreads) {
      const int64_t at = int64_t{token} * z.features + f;
      const float dgated = p.dgated[int64_t{place} * z.features + f];
      const float gate = to_float(p.gate[at]), context = to_float(p.context[at]);
      const T dgate = from_float<T>(dgated * context * gate * (1.0f - gate));
      by_place[z.attention + f] = dgate;
      by_token[z.attention + f] = dgate;
      p.gated[at] = from_float<T>(gate * context);
      p.dcontext[at] = from_float<T>(dgated * gate);
      dcontext[f] = dgated * gate;
    }
    __syncthreads();
    const int64_t shares = int64_t{token} * z.cells;
    const T* memory = p.memory + image * z.cells * z.features;
    for (int s = uniform(warp_id()); s < z.cells; s += kThreads / 32) {
      float sum = 0.0f;
      for (int base = 0; base < z.features; base += 32 * N) {
        const int f = base + lane_id() * N;
        if (f >= z.features) continue;
        float m[N];
        load(m, memory + int64_t{s} * z.features + f);
#pragma unroll
        for (int i = 0; i < N; i++) sum = fmaf(m[i], dcontext[f + i], sum);
      }
      sum = warp_sum(sum);
      if (lane_id() == 0) dscores[s] = sum + to_float(p.dalpha[shares + s]);
    }
    __syncthreads();
    float mean = 0.0f;
    for (int s = thread; s < z.cells; s += kThreads)
      mean = fmaf(to_float(p.alpha[shares + s]), dscores[s], mean);
    mean = block_sum<kThreads>(mean);
    for (int s = thread; s < z.cells; s += kThreads) {
      const float dscore = to_float(p.alpha[shares + s]) * (dscores[s] - mean);
      dscores[s] = dscore;
      p.dscores[shares + s] = dscore;
    }
    __syncthreads();
    const T* keys = p.keys + image * z.cells * z.attention;
    for (int a = thread; a < z.attention; a += kThreads) {
      const float query = to_float(p.query[int64_t{token} * z.attention + a]);
      float sum = 0.0f;
#pragma unroll 8
      for (int s = 0; s < z.cells; s++)
        sum += to_float(keys[int64_t{s} * z.attention + a]) + query > 0.0f ? dscores[s] : 0.0f;
      const T dquery = from_float<T>(sum * to_float(p.score_weight[a]));
      by_place[a] = dquery;
      by_token[a] = dquery;
    }
  }
}

// Block (cell, part of A): dkeys = weight sum over the image's tokens of dscore where key + query
// is above 0; dweight [B S, A]: sums of dscore relu(key + query). dkeys may be null.
template <class T>
__global__ void __launch_bounds__(kThreads)
    key_gradient_kernel(T* dkeys, float* dweight, const T* keys, const T* query,
                        const float* dscores, const T* weight, const int* offsets, Sizes z) {
  const int a = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (a >= z.attention) return;
  const int image = static_cast<int>(blockIdx.x) / z.cells;
  const int cell = static_cast<int>(blockIdx.x) % z.cells;
  const int64_t at = int64_t{blockIdx.x} * z.attention + a;
  const int end = min(offsets[(image + 1) * z.rows_per_key], z.tokens);
  const float key = to_float(keys[at]);
  float dkey = 0.0f, dscore_weight = 0.0f;
#pragma unroll 4
  for (int n = max(offsets[image * z.rows_per_key], 0); n < end; n++) {
    const float dscore = dscores[int64_t{n} * z.cells + cell];
    const float sum = key + to_float(query[int64_t{n} * z.attention + a]);
    dkey += sum > 0.0f ? dscore : 0.0f;
    dscore_weight = fmaf(dscore, fmaxf(sum, 0.0f), dscore_weight);
  }
  if (dkeys) dkeys[at] = from_float<T>(dkey * to_float(weight[a]));
  dweight[at] = dscore_weight;
}

constexpr int kCellsTogether = 8;

// dmemory [B S, F] = sum over the image's tokens of alpha dcontext; block (image, part of F, some
// cells).
template <class T>
__global__ void __launch_bounds__(kThreads)
    memory_gradient_kernel(T* dmemory, const T* alpha, const T* dcontext, const int* offsets,
                           Sizes z) {
  const int f = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (f >= z.features) return;
  const int image = static_cast<int>(blockIdx.x);
  const int cell = static_cast<int>(blockIdx.z) * kCellsTogether;
  const int end = min(offsets[(image + 1) * z.rows_per_key], z.tokens);
  float sums[kCellsTogether] = {};
#pragma unroll 2
  for (int n = max(offsets[image * z.rows_per_key], 0); n < end; n++) {
    const float gradient = to_float(dcontext[int64_t{n} * z.features + f]);
    const T* shares = alpha + int64_t{n} * z.cells;
#pragma unroll
    for (int k = 0; k < kCellsTogether; k++)
      sums[k] = fmaf(to_float(shares[min(cell + k, z.cells - 1)]), gradient, sums[k]);
  }
#pragma unroll
  for (int k = 0; k < kCellsTogether; k++)
    if (cell + k < z.cells)
      dmemory[(int64_t{image} * z.cells + cell + k) * z.features + f] = from_float<T>(sums[k]);
}

__global__ void __launch_bounds__(kThreads) zero_states_kernel(float* dh, float* dc, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < size) dh[i] = dc[i] = 0.0f;
}

// dstate0 [B, D] = sums over the rows of each image, in order, of dstate [R, D] by place.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_images_kernel(T* dstate0, const float* dstate, const int* place, Sizes z) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= int64_t{z.images} * z.hidden) return;
  const int image = static_cast<int>(i / z.hidden);
  float sum = 0.0f;
  for (int k = 0; k < z.rows_per_key; k++)
    sum += dstate[int64_t{place[image * z.rows_per_key + k]} * z.hidden + i % z.hidden];
  dstate0[i] = from_float<T>(sum);
}

}  // namespace cuda::lstm
