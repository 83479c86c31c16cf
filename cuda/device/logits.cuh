// Rows of logits for kernels that choose tokens: an order without ties, the tokens that may come,
// and reading.
#pragma once
#include "vector.cuh"

namespace cuda {

constexpr int kTogether = 4;      // logits of a lane that are read together
constexpr uint64_t kNothing = 0;  // less than every key

// The order of floats as unsigned integers; -0 is 0.
DEVICE uint32_t ordered_bits(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
DEVICE uint64_t ordered_key(uint32_t order, int index) {
  return uint64_t{order} << 32 | ~static_cast<uint32_t>(index);
}
// A key orders by `value` first, larger ones first, then by `index`, smaller ones first. Keys of
// different indices differ.
DEVICE uint64_t key_of(float value, int index) { return ordered_key(ordered_bits(value), index); }
DEVICE float value_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}
DEVICE int index_of(uint64_t key) { return static_cast<int>(~static_cast<uint32_t>(key)); }

struct Rules {
  const int* forbidden;
  int forbidden_count;
  int end_token;
  bool may_end;

  DEVICE bool allow(int token) const {
    if (token == end_token) return may_end;
    for (int i = 0; i < forbidden_count; i++)
      if (forbidden[i] == token) return false;
    return true;
  }
};

// The warp's lanes share kTogether logits each from `base` on: value[j] is that of token(base, j),
// -infinity beyond the vocabulary. `wide`: a lane's are neighbours and move as one access.
template <bool wide>
struct LogitReader {
  const float* row;
  int vocabulary;

  DEVICE int token(int base, int j) const {
    return wide ? base + lane_id() * kTogether + j : base + 32 * j + lane_id();
  }
  DEVICE void read(float (&value)[kTogether], int base) const {
#pragma unroll
    for (int j = 0; j < kTogether; j++) value[j] = -INFINITY;
    if constexpr (wide) {
      if (token(base, 0) < vocabulary) load(value, row + token(base, 0));
    } else {
#pragma unroll
      for (int j = 0; j < kTogether; j++)
        if (token(base, j) < vocabulary) value[j] = row[token(base, j)];
    }
  }
};

}  // namespace cuda
