// Attention of a few queries, as those of one image's captions in a step of decoding: keys and
// values are read where they lie, once, in order.
#pragma once
#include <cstdint>

namespace cpu {

// With more queries to a set of keys, tiles (attention.cpp) are faster.
constexpr int kMostFewQueries = 6;

// Queries and the keys they all see, the heads of each side by side; rows lie so many elements
// apart. `weights` is room for heads * queries * keys.
struct FewQueries {
  float* out;
  int64_t out_stride;
  const float* q;
  int64_t q_stride;
  const float* k;
  int64_t k_stride;
  const float* v;
  int64_t v_stride;
  int queries, keys, heads, size;
  float* weights;
};

// out = softmax(q k^T / sqrt(size)) v of every head, on the calling thread; 0 without keys.
void attend_few(const FewQueries& few);

}  // namespace cpu
