// Products in plain float32 multiply-adds, for checking and for gradients' tests: the same loaders
// and epilogue as the bf16 pipeline, but statistics only by way of split_k.h. Bound by the
// multiply-adds; 8 x 8 sums a thread, so that shared memory keeps up.
#pragma once
#include "../runtime/launch.h"
#include "product.cuh"

namespace cuda {

constexpr int kFloatTile = 64, kFloatDepth = 16, kFloatThreads = 64;
constexpr int kFloatPitch = kFloatTile + 4;

// The tiles lie with mn contiguous, whichever way they do in memory.
template <class Problem, int kGranule>
__global__ void __launch_bounds__(kFloatThreads) product_float32_kernel(Problem problem, Finish f) {
  const auto part = problem.part(f, blockIdx.z);
  int tile_m, tile_n;
  if (!place_tile(tile_m, tile_n, blockIdx.x, ceil_div(f.m, kFloatTile), ceil_div(f.n, kFloatTile)))
    return;  // the whole block
  const int m = tile_m * kFloatTile, n = tile_n * kFloatTile;

  SHARED(float, tile_a, [kFloatDepth * kFloatPitch]);
  SHARED(float, tile_b, [kFloatDepth * kFloatPitch]);
  using ChunksA = Chunks<typename Problem::A, kFloatTile, kFloatDepth, 4, kGranule, kFloatThreads>;
  using ChunksB = Chunks<typename Problem::B, kFloatTile, kFloatDepth, 4, kGranule, kFloatThreads>;
  const ChunksA chunks_a(part.a, m);
  const ChunksB chunks_b(part.b, n);
  float next_a[ChunksA::kCount][4], next_b[ChunksB::kCount][4];

  const auto fetch = [](float(&next)[4], int piece, const float* p, bool valid) {
    if constexpr (kGranule == 4) {
      if (valid) {
        load(next, p);
      } else {
#pragma unroll
        for (int i = 0; i < 4; i++) next[i] = 0.0f;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++)
        if (i == piece) next[i] = valid ? *p : 0.0f;
    }
  };
  const auto fetch_tiles = [&](int k) {
    chunks_a.each(part.a, k, [&](int i, int, int, int piece, const float* p, bool valid) {
      fetch(next_a[i], piece, p, valid);
    });
    chunks_b.each(part.b, k, [&](int i, int, int, int piece, const float* p, bool valid) {
      fetch(next_b[i], piece, p, valid);
    });
  };
  const auto put = [](float* tile, bool k_major, int mn, int k, const float(&values)[4]) {
    if (!k_major) return store(tile + k * kFloatPitch + mn, values);
#pragma unroll
    for (int i = 0; i < 4; i++) tile[(k + i) * kFloatPitch + mn] = values[i];
  };

  // Rows 4 r + 32 h + 0 .. 3 and columns likewise: 16-byte reads without bank conflicts.
  const int row = threadIdx.x / 8 * 4, column = threadIdx.x % 8 * 4;
  float sums[8][8] = {};
  if (part.begin < part.end) fetch_tiles(part.begin);
#pragma unroll 1
  for (int k = part.begin; k < part.end; k += kFloatDepth) {
    __syncthreads();
    chunks_a.places([&](int i, int at_m, int at_k) {
      put(tile_a, Problem::A::k_major, at_m, at_k, next_a[i]);
    });
    chunks_b.places([&](int i, int at_n, int at_k) {
      put(tile_b, Problem::B::k_major, at_n, at_k, next_b[i]);
    });
    __syncthreads();
    if (k + kFloatDepth < part.end) fetch_tiles(k + kFloatDepth);
#pragma unroll
    for (int step = 0; step < kFloatDepth; step++) {
      float a[2][4], b[2][4];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        load(a[half], tile_a + step * kFloatPitch + row + 32 * half);
        load(b[half], tile_b + step * kFloatPitch + column + 32 * half);
      }
#pragma unroll
      for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int j = 0; j < 8; j++) sums[i][j] = fmaf(a[i / 4][i % 4], b[j / 4][j % 4], sums[i][j]);
      }
    }
  }
  // A loop that is not unrolled, though registers have no index: the code of the epilogue once.
#pragma unroll 1
  for (int i = 0; i < 16; i++) {
    float x[4];
#pragma unroll
    for (int j = 0; j < 16; j++) {
      if (i != j) continue;
#pragma unroll
      for (int c = 0; c < 4; c++) x[c] = sums[j / 2][j % 2 * 4 + c];
    }
    finish(f, m + row + i / 8 * 32 + i / 2 % 4, n + column + i % 2 * 32, x);
  }
}

// parts: size of the grid's third axis.
template <int kGranule, class Problem>
void launch_float32(const Problem& problem, const Finish& f, int rows, int parts, Stream& stream) {
  const int64_t tiles = int64_t{ceil_div(rows, kFloatTile)} * ceil_div(f.n, kFloatTile);
  launch(product_float32_kernel<Problem, kGranule>,
         dim3(static_cast<unsigned>(tiles), 1, static_cast<unsigned>(parts)), kFloatThreads, 0,
         stream, problem, f);
}

}  // namespace cuda
