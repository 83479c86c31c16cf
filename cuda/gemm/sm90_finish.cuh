// The ends of sm90.cuh's tiles: epilogue.cuh's Finish, in the quickest of three ways that its
// output allows. Works on blocks of one warp: 16 rows x 64 columns, as wgmma leaves them.
#pragma once
#include "../device/wgmma.cuh"
#include "../runtime/tensor_map.h"
#include "epilogue.cuh"

namespace cuda::sm90 {

constexpr int kBlockColumns = 64;
// Shared memory of a warp: two blocks of bf16, or a strip of epilogue.cuh.
constexpr int kFinishBytes = 2 * 16 * kBlockColumns * 2;

enum class Way {
  strips,     // any output, through epilogue.cuh
  registers,  // float32, at most with a bias
  tma,        // bf16 in rows that TMA can address
};

struct Output {
  ptx::TensorMap out, pre;
  Finish finish;
  Way way;
};

// Host side.
inline Output make_output(const Finish& f) {
  Output output{};
  output.finish = f;
  output.way = Way::strips;
  const Epilogue& with = f.with;
  if (f.float32) {
    const bool pairs = f.n % 2 == 0 && f.stride % 2 == 0 && f.by_split % 2 == 0 &&
                       reinterpret_cast<uintptr_t>(f.out) % 8 == 0;
    if (pairs && !with.residual && !with.pre && with.activation == kNone && f.step == 0)
      output.way = Way::registers;
    return output;
  }
  const auto fits = [&](const void* dense) { return !dense || tma_addressable(dense, f.n); };
  if (f.step != 0 || !tma_addressable(f.out, f.stride) || !fits(with.residual) || !fits(with.pre))
    return output;
  output.way = Way::tma;
  output.out = tiled_map(f.out, {f.n, f.m}, {f.stride}, {kBlockColumns, 16});
  output.pre = with.pre ? tiled_map(with.pre, {f.n, f.m}, {f.n}, {kBlockColumns, 16}) : output.out;
  return output;
}

#ifdef CAPTIONEER_HOPPER

// A block: x[4 j ..] are columns 8 j + 2 t and the next, of row g, then of row g + 8; g = lane / 4,
// t = lane % 4.
constexpr int kBlockFloats = 32;

// Calls body(x[i], x[i + 1], row, column) for each pair of neighbours. row, column: the block's.
template <class Body>
DEVICE void each_pair(float (&x)[kBlockFloats], int row, int column, Body body) {
  const int at_row = row + lane_id() / 4;
  const int at_column = column + lane_id() % 4 * 2;
#pragma unroll
  for (int i = 0; i < kBlockFloats; i += 2)
    body(x[i], x[i + 1], at_row + i % 4 / 2 * 8, at_column + i / 4 * 8);
}

DEVICE void add_bias(float (&x)[kBlockFloats], const Finish& f, int column) {
  if (!f.with.bias) return;
#pragma unroll
  for (int j = 0; j < kBlockFloats / 4; j++) {
    const int c = column + 8 * j + lane_id() % 4 * 2;
    const float low = c < f.n ? f.with.bias[c] : 0.0f;
    const float high = c + 1 < f.n ? f.with.bias[c + 1] : 0.0f;
    x[4 * j] += low;
    x[4 * j + 1] += high;
    x[4 * j + 2] += low;
    x[4 * j + 3] += high;
  }
}

DEVICE void finish_in_registers(const Finish& f, float (&x)[kBlockFloats], int row, int column) {
  add_bias(x, f, column);
  float* const out = static_cast<float*>(f.out);
  each_pair(x, row, column, [&](float& low, float& high, int r, int c) {
    if (r >= f.m || c >= f.n) return;
    float2* const to = reinterpret_cast<float2*>(out + r * f.stride + c);
    float2 sum = make_float2(low, high);
    if (f.with.accumulate) {
      const float2 old = *to;
      sum.x += old.x;
      sum.y += old.y;
    }
    *to = sum;
  });
}

template <int kind>
DEVICE void activate_all(float (&x)[kBlockFloats]) {
#pragma unroll
  for (float& value : x) value = activate<kind>(value);
}

// As bf16 to `block` (rows of 128 bytes, swizzled as TMA wants them), from there to global memory.
DEVICE void store_block(const ptx::TensorMap& map, unsigned char* block,
                        const float (&x)[kBlockFloats], int row, int column) {
  // The other block may still be read; this one no more.
  if (lane_id() == 0) ptx::bulk_wait_read<1>();
  __syncwarp();
  const int r = lane_id() % 16;
#pragma unroll
  for (int j = 0; j < kBlockFloats; j += 8) {
    const uint32_t words[4] = {pack_bf16(x[j], x[j + 1]), pack_bf16(x[j + 2], x[j + 3]),
                               pack_bf16(x[j + 4], x[j + 5]), pack_bf16(x[j + 6], x[j + 7])};
    const int unit = j / 4 + lane_id() / 16;
    ptx::stmatrix_x4<false>(block + r * 128 + (unit ^ r % 8) * 16, words);
  }
  ptx::fence_proxy_async();
  __syncwarp();
  if (lane_id() == 0) {
    ptx::tma_store_2d(map, block, column, row);
    ptx::bulk_commit();
  }
}

// block: which of the two at `room` is next.
DEVICE void finish_by_tma(const Output& output, unsigned char* room, int& block,
                          float (&x)[kBlockFloats], int row, int column) {
  const Finish& f = output.finish;
  if (row >= f.m || column >= f.n) return;  // the whole warp
  uint32_t residual[kBlockFloats / 2];
  if (f.with.residual) {
    const bf16* const from = static_cast<const bf16*>(f.with.residual);
    int i = 0;
    each_pair(x, row, column, [&](float&, float&, int r, int c) {
      residual[i++] =
          r < f.m && c < f.n ? *reinterpret_cast<const uint32_t*>(from + int64_t{r} * f.n + c) : 0;
    });
  }
  const auto add_residual = [&] {
#pragma unroll
    for (int i = 0; i < kBlockFloats / 2; i++) {
      const float2 pair = unpack_bf16(residual[i]);
      x[2 * i] += pair.x;
      x[2 * i + 1] += pair.y;
    }
  };
  const auto store = [&](const ptx::TensorMap& map) {
    store_block(map, room + block * (kFinishBytes / 2), x, row, column);
    block ^= 1;
  };
  add_bias(x, f, column);
  if (f.with.residual && f.with.residual_first) add_residual();
  if (f.with.pre) store(output.pre);
  switch (f.with.activation) {
    case kRelu:
      activate_all<kRelu>(x);
      break;
    case kRelu6:
      activate_all<kRelu6>(x);
      break;
    case kGelu:
      activate_all<kGelu>(x);
      break;
    case kSilu:
      activate_all<kSilu>(x);
      break;
    default:
      break;
  }
  if (f.with.residual && !f.with.residual_first) add_residual();
  store(output.out);
}

DEVICE void finish_by_strips(const Finish& f, unsigned char* room, float (&x)[kBlockFloats],
                             int row, int column) {
  constexpr int columns8 = 4;
  static_assert(kStripFloats<columns8> * sizeof(float) <= kFinishBytes);
  float* const strip = reinterpret_cast<float*>(room);
  const auto& halves = reinterpret_cast<const float(&)[2][columns8][4]>(x);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    write_strip(strip, halves[half]);
    __syncwarp();
    finish_strip<columns8>(f, strip, row, column + half * 8 * columns8);
    __syncwarp();
  }
}

#endif  // CAPTIONEER_HOPPER

}  // namespace cuda::sm90
