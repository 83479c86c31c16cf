// Tiles of bf16 rows in shared memory as operands of the tensor cores: copies in and out, and
// fragments. Layouts of fragments: PTX ISA, "Matrix fragments for mma.m16n8k16".
#pragma once
#include "../device/ptx.cuh"
#include "rows.cuh"

namespace cuda::attending {

// Rows of a strip: those of one tensor-core product.
constexpr int kStrip = 16;

constexpr float kLog2e = 1.44269504f;

// Where eight neighbours lie, column / 8 = chunk, in a tile with rows of `width` (32, 64, 96, 128).
// The chunks of a row change places, so that eight rows at one column are in different banks.
template <int width>
DEVICE bf16* chunk_at(bf16* tile, int row, int chunk) {
  const int change = width % 64 == 0 ? row & 7 : row >> 1 & 3;
  return tile + row * width + (chunk ^ change) * 8;
}

// Neighbouring threads that share a row when tiles are copied, so that eight of them touch all
// banks: thread t takes the chunks t % kRowThreads, t % kRowThreads + kRowThreads, ...
template <int width>
constexpr int kRowThreads = width % 64 == 0 ? 8 : 4;

// Starts copies of `rows` rows of x into a tile, zeros from row `count` on.
template <int width>
DEVICE void copy_rows(bf16* tile, const View<const bf16>& x, int64_t first, int column, int rows,
                      int count, int thread, int threads) {
  for (int i = thread; i < rows * kRowThreads<width>; i += threads) {
    const int row = i / kRowThreads<width>;
    const bool valid = row < count;
    const bf16* from = x.at(first + (valid ? row : 0), column);
#pragma unroll
    for (int c = 0; c < width / 8; c += kRowThreads<width>) {
      const int chunk = i % kRowThreads<width> + c;
      ptx::cp_async<16>(chunk_at<width>(tile, row, chunk), from + chunk * 8, valid);
    }
  }
}

// The way back, for one warp: the first `count` rows of the strip at `row`.
template <int width>
DEVICE void store_rows(const View<bf16>& x, int64_t first, int column, bf16* tile, int row,
                       int count) {
  using Chunk = Vector<bf16, 8>;
  for (int i = lane_id(); i < count * kRowThreads<width>; i += 32)
#pragma unroll
    for (int c = 0; c < width / 8; c += kRowThreads<width>) {
      const int chunk = i % kRowThreads<width> + c;
      *reinterpret_cast<Chunk*>(x.at(first + i / kRowThreads<width>, column + chunk * 8)) =
          *reinterpret_cast<const Chunk*>(
              chunk_at<width>(tile, row + i / kRowThreads<width>, chunk));
    }
}

// --- Fragments of 16 x 16, by one warp. Column and row are multiples of 16.

// a[m][k] from rows m.
template <int width>
DEVICE void load_a(uint32_t (&a)[4], bf16* tile, int row, int column) {
  const int lane = lane_id();
  ptx::ldmatrix_x4<false>(a, chunk_at<width>(tile, row + lane % 16, column / 8 + lane / 16));
}
// a[m][k] from rows k.
template <int width>
DEVICE void load_a_transposed(uint32_t (&a)[4], bf16* tile, int row, int column) {
  const int lane = lane_id();
  ptx::ldmatrix_x4<true>(
      a, chunk_at<width>(tile, row + lane % 8 + lane / 16 * 8, column / 8 + lane / 8 % 2));
}
// b[k][n] from rows n: two products' worth, the first in b[0] and b[1].
template <int width>
DEVICE void load_b(uint32_t (&b)[4], bf16* tile, int row, int column) {
  const int lane = lane_id();
  ptx::ldmatrix_x4<false>(
      b, chunk_at<width>(tile, row + lane % 8 + lane / 16 * 8, column / 8 + lane / 8 % 2));
}
// b[k][n] from rows k.
template <int width>
DEVICE void load_b_transposed(uint32_t (&b)[4], bf16* tile, int row, int column) {
  const int lane = lane_id();
  ptx::ldmatrix_x4<true>(b, chunk_at<width>(tile, row + lane % 16, column / 8 + lane / 16));
}

// d[0], d[1]: columns 0-7 and 8-15 of [16 x 16] += a b.
DEVICE void multiply_strip(float (*d)[4], const uint32_t (&a)[4], const uint32_t (&b)[4]) {
  ptx::mma_16816(d[0], a, b[0], b[1]);
  ptx::mma_16816(d[1], a, b[2], b[3]);
}

// Sums of [16 x 16] as the operand a of the next product.
DEVICE void to_operand(uint32_t (&a)[4], const float (*d)[4]) {
  a[0] = pack_bf16(d[0][0], d[0][1]);
  a[1] = pack_bf16(d[0][2], d[0][3]);
  a[2] = pack_bf16(d[1][0], d[1][1]);
  a[3] = pack_bf16(d[1][2], d[1][3]);
}

// Sums of [16 x 8 blocks] into a tile, the rows lane / 4 times `first`, the others times `second`.
template <int width, int blocks>
DEVICE void put_strip(bf16* tile, int row, int column, const float (&d)[blocks][4], float first,
                      float second) {
  const int lane = lane_id();
#pragma unroll
  for (int j = 0; j < blocks; j++) {
    const int chunk = column / 8 + j;
    auto* low = reinterpret_cast<uint32_t*>(chunk_at<width>(tile, row + lane / 4, chunk));
    auto* high = reinterpret_cast<uint32_t*>(chunk_at<width>(tile, row + lane / 4 + 8, chunk));
    low[lane % 4] = pack_bf16(d[j][0] * first, d[j][1] * first);
    high[lane % 4] = pack_bf16(d[j][2] * second, d[j][3] * second);
  }
}

}  // namespace cuda::attending
