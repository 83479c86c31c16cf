// A product with a weight [n, k], divided among the threads: each multiplies its share of rows and
// columns and finishes it, so that no barrier lies between the two, the weight is read once, and no
// sum over the inner axis is split.
#pragma once
#include <omp.h>

#include <algorithm>

#include "gemm.h"
#include "part.h"
#include "split_product.h"
#include "thin_product.h"

namespace cpu {

// More rows are worth a library's copy of the weight.
constexpr int64_t kMostThin = 32;
// With fewer rows for each thread, a part of the columns is better.
constexpr int64_t kLeastRows = 96;
// Columns are divided at multiples of a cache line.
constexpr int64_t kColumnStep = 16;

// On the calling thread.
[[nodiscard]] inline int multiply_part(const ThinProduct& p) {
  if (p.m <= kMostThin) {
    multiply_thin(p);
    return dnnl_success;
  }
  return gemm(Transpose::no, Transpose::yes, p.m, p.n, p.k, p.a, p.lda, p.b, p.ldb,
              p.accumulate ? 1.0f : 0.0f, p.c, p.ldc);
}

// c [m, n] = a [m, k] b [n, k]^T; calls finish(part) for each part that is there.
template <class Finish>
void multiply_divided(const ThinProduct& p, Finish finish) {
  if (pays_to_split(p.m, p.n, p.k))
    return multiply_split(
        {p.c, p.ldc, {p.a, p.lda, true}, {p.b, p.ldb, true}, p.m, p.n, p.k, p.accumulate}, finish);
  const int64_t threads = omp_get_max_threads();
  const int64_t steps = (p.n + kColumnStep - 1) / kColumnStep;
  const int64_t by_rows = std::clamp<int64_t>(p.m / kLeastRows, 1, threads);
  const int64_t by_columns = std::clamp<int64_t>(threads / by_rows, 1, std::max<int64_t>(1, steps));
  int status = dnnl_success;
#pragma omp parallel for schedule(static) reduction(max : status) if (p.m * p.n * p.k > 32768)
  for (int64_t i = 0; i < by_rows * by_columns; i++) {
    const auto share = [](int64_t all, int64_t part, int64_t parts) { return all * part / parts; };
    const int64_t down = i / by_columns, across = i % by_columns;
    const int64_t row = share(p.m, down, by_rows);
    const int64_t column = kColumnStep * share(steps, across, by_columns);
    const Part part{row, share(p.m, down + 1, by_rows) - row, column,
                    std::min(p.n, kColumnStep * share(steps, across + 1, by_columns)) - column};
    ThinProduct own = p;
    own.c += row * p.ldc + column;
    own.a += row * p.lda;
    own.b += column * p.ldb;
    own.m = part.rows;
    own.n = part.columns;
    status = std::max(status, multiply_part(own));
    finish(part);
  }
  check_gemm(status);
}

}  // namespace cpu
