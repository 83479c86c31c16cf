// Products whose inner axis is split among blocks leave float32 partial sums; this adds them up in
// order and applies the epilogue.
#pragma once
#include "epilogue.cuh"

namespace cuda {

// f as in an unsplit product; partials [splits, m, n].
void reduce_splits(const Finish& f, const float* partials, int splits, Stream& stream);

// The Finish of a product that writes partial sums to `partials`.
inline Finish partial_finish(float* partials, int m, int n) {
  Finish f = make_finish(partials, Dtype::float32, n, m, n, {});
  f.by_split = int64_t{m} * n;
  return f;
}

}  // namespace cuda
