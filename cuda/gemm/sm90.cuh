// The pipeline of matrix products on Hopper: a persistent kernel of one producer warp, which loads
// 64-deep steps of both operands by TMA into a ring of stages, and two consumer warpgroups, which
// multiply them by wgmma straight from the swizzled stages, whichever way the operands lie. What is
// loaded is a Product's (sm90_products.cuh), what becomes of the sums epilogue.cuh's.
//
// Cooperative: both warpgroups share a tile, half its rows each. Ping-pong: each has tiles of its
// own, so that the end of one tile passes while the other warpgroup multiplies.
#pragma once
#include "sm90_finish.cuh"

namespace cuda::sm90 {

constexpr int kThreads = 384;
constexpr int kDepth = 64;                 // of a step: one 128-byte swizzle span of bf16
constexpr int kBoxElements = 64 * kDepth;  // of a box of an operand that is not K-major
constexpr uint32_t kBoxBytes = 2 * kBoxElements;
constexpr int kSharedBytes = 227 * 1024;

template <int rows, int columns, bool cooperative>
struct Tile {
  static constexpr int kRows = rows, kColumns = columns;
  static constexpr bool kCooperative = cooperative;
  static constexpr int kWarpgroupRows = cooperative ? rows / 2 : rows;
  static constexpr int kParts = kWarpgroupRows / 64;  // products of 64 rows of a warpgroup
  static constexpr int kStageBytes = (rows + columns) * kDepth * 2;
  static constexpr int kFitting = (kSharedBytes - 8 * kFinishBytes - 256) / kStageBytes;
  static constexpr int kStages = kFitting < 8 ? kFitting : 8;
};
using Tile128x256 = Tile<128, 256, true>;
using Tile128x128 = Tile<128, 128, false>;
using Tile128x64 = Tile<128, 64, false>;
using Tile64x64 = Tile<64, 64, false>;

template <class Tile>
struct alignas(1024) Shared {
  bf16 a[Tile::kStages][Tile::kRows * kDepth];
  bf16 b[Tile::kStages][Tile::kColumns * kDepth];
  alignas(1024) unsigned char finish[8][kFinishBytes];  // of each consumer warp
  uint64_t full[Tile::kStages], empty[Tile::kStages];
};

// A place in the ring of stages and the parity of its present round.
template <int stages>
struct Ring {
  int stage = 0;
  uint32_t parity = 0;

  DEVICE void advance() {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
  DEVICE void advance(int steps) {
    stage += steps;
    parity ^= stage / stages & 1;
    stage %= stages;
  }
};

// A tile of the output and the steps along K that are summed for it.
struct Work {
  int part;         // of a split sum, or of a product in several pieces
  int row, column;  // in tiles
  int first_step, steps;
};

// The tile_rows x tile_columns tiles of one part in an order in which those that run together share
// operands: bands of rows, column by column.
DEVICE void place(Work& work, int index, int tile_rows, int tile_columns) {
  constexpr int band_rows = 16;
  const int band = index / (band_rows * tile_columns);
  const int within = index % (band_rows * tile_columns);
  const int rows = min(band_rows, tile_rows - band * band_rows);
  work.row = band * band_rows + within % rows;
  work.column = within / rows;
}

#ifdef CAPTIONEER_HOPPER

template <class Tile, class Product>
DEVICE void produce(const Product& product, Shared<Tile>& shared) {
  Ring<Tile::kStages> ring;
  for (unsigned tile = blockIdx.x; tile < product.tiles; tile += gridDim.x) {
    const Work work = product.work(tile);
    auto cursor = product.template start<Tile>(work);
    for (int step = 0; step < work.steps; step++) {
      uint64_t* const full = &shared.full[ring.stage];
      ptx::mbarrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
      ptx::mbarrier_arrive_expect_tx(full, Tile::kStageBytes);
      product.template load<Tile>(shared.a[ring.stage], shared.b[ring.stage], full, cursor);
      ring.advance();
    }
  }
}

template <class Tile>
DEVICE void release(Shared<Tile>& shared, int stage) {
  __syncwarp();
  if (lane_id() == 0) ptx::mbarrier_arrive(&shared.empty[stage]);
}

// Bytes >> 4 that a descriptor's address moves for 16 elements along K.
template <bool k_major>
constexpr uint64_t kDescriptorStep = k_major ? 2 : 128;

// From `row` on, a multiple of 64. A stage is rows of 64 along K, 8 of them 1024 bytes, or boxes of
// 64 x 64 whose rows are K; both take as much for 64 rows.
DEVICE uint64_t operand_descriptor(const bf16* stage, int row) {
  return ptx::matrix_descriptor(stage + row * kDepth, kBoxBytes, 1024, ptx::Swizzle::bytes128);
}

// sums = the steps' products. One group of wgmma is always in flight: a stage is released when the
// next one's product has begun. all_seen() is called once every step was waited for.
template <class Tile, bool a_k_major, bool b_k_major, class AllSeen>
DEVICE void multiply(float (&sums)[Tile::kParts][Tile::kColumns / 2], Shared<Tile>& shared,
                     Ring<Tile::kStages>& ring, int steps, int first_row, AllSeen all_seen) {
#pragma unroll
  for (int part = 0; part < Tile::kParts; part++) {
#pragma unroll
    for (int i = 0; i < Tile::kColumns / 2; i++) sums[part][i] = 0.0f;
    ptx::wgmma_operand_fence(sums[part]);
  }
  int previous = -1;
  for (int step = 0; step < steps; step++) {
    ptx::mbarrier_wait(&shared.full[ring.stage], ring.parity);
    const uint64_t b = operand_descriptor(shared.b[ring.stage], 0);
    ptx::wgmma_fence();
#pragma unroll
    for (int part = 0; part < Tile::kParts; part++) {
      const uint64_t a = operand_descriptor(shared.a[ring.stage], first_row + 64 * part);
#pragma unroll
      for (int k = 0; k < kDepth / 16; k++)
        ptx::wgmma_ss<!a_k_major, !b_k_major>(sums[part], a + k * kDescriptorStep<a_k_major>,
                                              b + k * kDescriptorStep<b_k_major>, 1);
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();
    if (previous >= 0) release(shared, previous);
    previous = ring.stage;
    ring.advance();
  }
  all_seen();
  ptx::wgmma_wait<0>();
#pragma unroll
  for (int part = 0; part < Tile::kParts; part++) ptx::wgmma_operand_fence(sums[part]);
  if (previous >= 0) release(shared, previous);
}

// Statistics of a warpgroup's sums, whose first row is `row`; in its warps' rooms.
template <class Tile>
DEVICE void take_statistics(const Finish& f, unsigned char* room,
                            const float (&sums)[Tile::kParts][Tile::kColumns / 2], int row,
                            int column, int barrier) {
  constexpr int columns8 = Tile::kColumns / 8;
  static_assert(4 * Tile::kColumns * sizeof(float2) <= 4 * kFinishBytes);
  float2* const moments = reinterpret_cast<float2*>(room);
  const int warp = warp_id() % 4;
  if (lane_id() == 0) ptx::bulk_wait_read<0>();
#pragma unroll
  for (int part = 0; part < Tile::kParts; part++) {
    const auto& fragments = reinterpret_cast<const float(&)[1][columns8][4]>(sums[part]);
    ptx::barrier_sync(barrier, 128);
    column_moments<1, columns8>(moments + warp * Tile::kColumns, fragments,
                                row + 64 * part + 16 * warp, f.m);
    ptx::barrier_sync(barrier, 128);
    store_statistics<64, Tile::kColumns, 16, 128>(f, moments, row + 64 * part, column,
                                                  threadIdx.x % 128);
  }
  ptx::barrier_sync(barrier, 128);
}

template <class Tile, class Product>
DEVICE void consume(const Product& product, const Output& output, Shared<Tile>& shared,
                    int warpgroup) {
  constexpr int blocks = Tile::kColumns / kBlockColumns;
  constexpr int turn_barrier = 3;  // and the next; 1 and 2 are take_statistics'
  const int warp = warp_id() % 4;
  const int first_row = Tile::kCooperative ? warpgroup * Tile::kWarpgroupRows : 0;
  unsigned char* const room = shared.finish[4 * warpgroup + warp];
  int block = 0;

  Ring<Tile::kStages> ring;
  int turn = 0;
  for (unsigned tile = blockIdx.x; tile < product.tiles; tile += gridDim.x) {
    const Work work = product.work(tile);
    if (!Tile::kCooperative && turn++ % 2 != warpgroup) {
      ring.advance(work.steps);
      continue;
    }
    // Ping-pong takes turns: a stage's barrier tells only its present round from the last, so a
    // warpgroup may not wait for a later one before the other has seen this.
    if (!Tile::kCooperative && tile != blockIdx.x) ptx::barrier_sync(turn_barrier + warpgroup, 256);
    const auto pass_turn = [&] {
      if (!Tile::kCooperative && tile + gridDim.x < product.tiles)
        ptx::barrier_arrive(turn_barrier + (warpgroup ^ 1), 256);
    };
    float sums[Tile::kParts][Tile::kColumns / 2];
    multiply<Tile, Product::kAMajor, Product::kBMajor>(sums, shared, ring, work.steps, first_row,
                                                       pass_turn);

    Finish f = product.view(output.finish, work);
    const int row = work.row * Tile::kRows + first_row;
    if (f.with.statistics) {
      take_statistics<Tile>(f, shared.finish[4 * warpgroup], sums, row,
                            work.column * Tile::kColumns, 1 + warpgroup);
    }
    // Not unrolled, though registers have no index: the code of one block only.
#pragma unroll 1
    for (int i = 0; i < Tile::kParts * blocks; i++) {
      float x[kBlockFloats];
#pragma unroll
      for (int j = 0; j < Tile::kParts * blocks; j++) {
        if (i != j) continue;
#pragma unroll
        for (int k = 0; k < kBlockFloats; k++)
          x[k] = sums[j / blocks][j % blocks * kBlockFloats + k];
      }
      const int at_row = row + i / blocks * 64 + 16 * warp;
      const int at_column =
          product.place_columns(f, work.column * Tile::kColumns + i % blocks * kBlockColumns);
      if (output.way == Way::tma) {
        finish_by_tma(output, room, block, x, at_row, at_column);
      } else if (output.way == Way::registers) {
        finish_in_registers(f, x, at_row, at_column);
      } else {
        finish_by_strips(f, room, x, at_row, at_column);
      }
    }
  }
  if (lane_id() == 0) ptx::bulk_wait<0>();
}

#endif  // CAPTIONEER_HOPPER

template <class Tile, class Product>
__global__ void __launch_bounds__(kThreads, 1)
    product_kernel(const __grid_constant__ Product product, const __grid_constant__ Output output) {
#ifdef CAPTIONEER_HOPPER
  auto& shared = *dynamic_shared<Shared<Tile>>();
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Tile::kStages; stage++) {
      ptx::mbarrier_init(&shared.full[stage], 1);
      // Every warp that reads a stage releases it.
      ptx::mbarrier_init(&shared.empty[stage], Tile::kCooperative ? 8 : 4);
    }
    ptx::mbarrier_init_fence();
  }
  __syncthreads();
  // 168 registers for each of 384 threads are handed out anew: 40 + 2 x 232 = 3 x 168.
  const int warpgroup = warp_id() / 4;
  if (warpgroup == 0) {
    ptx::registers_decrease<40>();
    if (threadIdx.x == 0) produce<Tile>(product, shared);
  } else {
    ptx::registers_increase<232>();
    consume<Tile>(product, output, shared, warpgroup - 1);
  }
#endif
}

}  // namespace cuda::sm90
