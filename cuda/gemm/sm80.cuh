// The product pipeline for tensor cores with mma.sync (compute capability 8.0 and above): a ring of
// shared-memory stages filled by cp.async, fragments by ldmatrix. Which addresses are read is the
// loaders'; what happens to the sums is the epilogue's. Bound by the tensor cores for large
// products: 2 M N K operations; small ones by reading the operands once.
#pragma once
#include "../device/ptx.cuh"
#include "../runtime/launch.h"
#include "plan.h"
#include "product.cuh"

namespace cuda {

// Sizes of a block's tile and of the part of one warp; blocks that registers must leave room for on
// a multiprocessor.
template <int kM_, int kN_, int kWarpM_, int kWarpN_, int kStages_, int kBlocks_>
struct Tile {
  static constexpr int kM = kM_, kN = kN_, kK = 32;
  static constexpr int kWarpM = kWarpM_, kWarpN = kWarpN_;
  static constexpr int kWarpsM = kM / kWarpM, kWarpsN = kN / kWarpN;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN;
  static constexpr int kStages = kStages_, kBlocks = kBlocks_;
};

// One operand's tile of one stage: lines of k (or of mn), in chunks of 8 elements whose places are
// permuted so that neither cp.async nor ldmatrix has bank conflicts.
template <bool k_major, int kSize, int kDepth>
struct StageTile {
  static constexpr int kElements = kSize * kDepth;
  // The chunk that begins at (mn, k).
  DEVICE static int at(int mn, int k) {
    constexpr int length = k_major ? kDepth : kSize;
    const int line = k_major ? mn : k;
    const int chunk = (k_major ? k : mn) / 8;
    // Lines of 128 bytes or more meet every bank; of shorter ones two or four do together.
    constexpr int chunks = length / 8 < 8 ? length / 8 : 8;
    return line * length + (chunk ^ (line / (8 / chunks) % chunks)) * 8;
  }
};

template <class T, class Problem, int kGranule>
__global__ void __launch_bounds__(T::kThreads, kGranule == 1 ? 2 : T::kBlocks)
    product_sm80_kernel(Problem problem, Finish f) {
  using A = typename Problem::A;
  using B = typename Problem::B;
  using TileA = StageTile<A::k_major, T::kM, T::kK>;
  using TileB = StageTile<B::k_major, T::kN, T::kK>;
  constexpr int kStageElements = TileA::kElements + TileB::kElements;
  constexpr int kRows = T::kWarpM / 16, kColumns = T::kWarpN / 8;

  const auto part = problem.part(f, blockIdx.z);
  int tile_m, tile_n;
  if (!place_tile(tile_m, tile_n, blockIdx.x, ceil_div(f.m, T::kM), ceil_div(f.n, T::kN)))
    return;  // the whole block
  const int m = tile_m * T::kM, n = tile_n * T::kN;

  bf16* const shared = dynamic_shared<bf16>();
  const Chunks<A, T::kM, T::kK, 8, kGranule, T::kThreads> chunks_a(part.a, m);
  const Chunks<B, T::kN, T::kK, 8, kGranule, T::kThreads> chunks_b(part.b, n);
  const auto copy = [](bf16* to, const bf16* from, bool valid) {
    if constexpr (kGranule == 1) {
      *to = valid ? *from : bf16(0.0f);
    } else {
      ptx::cp_async<kGranule * 2>(to, from, valid);
    }
  };
  const auto fill_stage = [&](int stage, int tile) {
    bf16* const a = shared + stage * kStageElements;
    bf16* const b = a + TileA::kElements;
    const int k = part.begin + tile * T::kK;
    chunks_a.each(part.a, k, [&](int, int at_m, int at_k, int piece, const bf16* p, bool valid) {
      copy(a + TileA::at(at_m, at_k) + piece * kGranule, p, valid);
    });
    chunks_b.each(part.b, k, [&](int, int at_n, int at_k, int piece, const bf16* p, bool valid) {
      copy(b + TileB::at(at_n, at_k) + piece * kGranule, p, valid);
    });
  };

  const int lane = lane_id();
  const int warp_m = warp_id() % T::kWarpsM * T::kWarpM;
  const int warp_n = warp_id() / T::kWarpsM * T::kWarpN;
  // Lane i names row i % 8 of 8 x 8 matrix i / 8: those of A in the order (m, k), (m + 8, k), (m, k
  // + 8), (m + 8, k + 8), those of B (n, k), (n, k + 8), (n + 8, k), (n + 8, k + 8).
  const int low = lane & 7, first = lane & 8, second = lane >> 4 << 3;
  const int a_m = warp_m + first + (A::k_major ? low : 0);
  const int a_k = second + (A::k_major ? 0 : low);
  const int b_n = warp_n + second + (B::k_major ? low : 0);
  const int b_k = first + (B::k_major ? 0 : low);

  float sums[kRows][kColumns][4] = {};
  const int tiles = ceil_div(part.end - part.begin, T::kK);
#pragma unroll
  for (int stage = 0; stage < T::kStages - 1; stage++) {
    if (stage < tiles) fill_stage(stage, stage);
    ptx::cp_async_commit();
  }
  int read = 0, write = T::kStages - 1;
#pragma unroll 1
  for (int tile = 0; tile < tiles; tile++) {
    ptx::cp_async_wait<T::kStages - 2>();
    __syncthreads();
    const bf16* const a = shared + read * kStageElements;
    const bf16* const b = a + TileA::kElements;
    uint32_t fragments_a[2][kRows][4], fragments_b[2][kColumns / 2][4];
    const auto read_fragments = [&](int step) {
#pragma unroll
      for (int i = 0; i < kRows; i++)
        ptx::ldmatrix_x4<!A::k_major>(fragments_a[step][i],
                                      a + TileA::at(a_m + 16 * i, a_k + 16 * step));
#pragma unroll
      for (int j = 0; j < kColumns / 2; j++)
        ptx::ldmatrix_x4<!B::k_major>(fragments_b[step][j],
                                      b + TileB::at(b_n + 16 * j, b_k + 16 * step));
    };
    read_fragments(0);
    if (tile + T::kStages - 1 < tiles) fill_stage(write, tile + T::kStages - 1);
    ptx::cp_async_commit();
    read_fragments(1);
#pragma unroll
    for (int step = 0; step < 2; step++) {
#pragma unroll
      for (int i = 0; i < kRows; i++) {
#pragma unroll
        for (int j = 0; j < kColumns; j++)
          ptx::mma_16816(sums[i][j], fragments_a[step][i], fragments_b[step][j / 2][j % 2 * 2],
                         fragments_b[step][j / 2][j % 2 * 2 + 1]);
      }
    }
    read = read + 1 == T::kStages ? 0 : read + 1;
    write = write + 1 == T::kStages ? 0 : write + 1;
  }
  __syncthreads();  // what is still copied now are groups without a copy

  if constexpr (T::kM % kStatisticRows == 0) {
    if (f.with.statistics) {
      auto* const moments = dynamic_shared<float2>();
      column_moments(moments + warp_m / T::kWarpM * T::kN + warp_n, sums, m + warp_m, f.m);
      __syncthreads();
      store_statistics<T::kM, T::kN, T::kWarpM, T::kThreads>(f, moments, m, n, threadIdx.x);
      __syncthreads();
    }
  }
  float* const strip = dynamic_shared<float>() + warp_id() * kStripFloats<kColumns>;
  finish_fragments(f, strip, sums, m + warp_m, n + warp_n);
}

// parts: size of the grid's third axis.
template <class T, int kGranule, class Problem>
void launch_sm80(const Problem& problem, const Finish& f, int rows, int parts, Stream& stream) {
  constexpr size_t ring = size_t{T::kStages} * (T::kM + T::kN) * T::kK * sizeof(bf16);
  constexpr size_t strips = size_t{T::kThreads / 32} * kStripFloats<T::kWarpN / 8> * sizeof(float);
  static_assert(strips <= ring && ring <= 99 * 1024);
  const int64_t tiles = int64_t{ceil_div(rows, T::kM)} * ceil_div(f.n, T::kN);
  launch(product_sm80_kernel<T, Problem, kGranule>,
         dim3(static_cast<unsigned>(tiles), 1, static_cast<unsigned>(parts)), T::kThreads, ring,
         stream, problem, f);
}

using LargeTile = Tile<128, 128, 64, 64, 3, 2>;
using TallTile = Tile<128, 64, 64, 32, 4, 3>;
using SmallTile = Tile<64, 64, 32, 32, 4, 4>;
using FlatTile = Tile<32, 64, 16, 32, 4, 6>;

}  // namespace cuda
