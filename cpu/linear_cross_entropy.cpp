// The vocabulary layer with its loss. The logits of a few hundred rows at a time live in scratch
// memory, become their own gradient in place, and feed the products of dx and dweight. Bound by the
// three products (oneDNN's sgemm). Label smoothing: Szegedy et al. 2016, arXiv:1512.00567,
// section 7.
#include <algorithm>
#include <cmath>
#include <string>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "gemm.h"
#include "rows.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

constexpr int64_t kChunkRows = 256;

struct RowLoss {
  float loss;
  int rank;
};

// Cross-entropy of one row against (1 - smoothing) at the target plus smoothing / n everywhere.
// bias may be null. With `gradients` `logits` holds gradient_scale times the gradient afterwards.
SIMD RowLoss row_loss(float* logits, const float* bias, int64_t n, int target, float smoothing,
                      bool gradients, float gradient_scale) {
  if (bias)
    for (int64_t i = 0; i < n; i++) logits[i] += bias[i];
  float largest = logits[0];
  float total = 0;
#pragma omp simd reduction(max : largest) reduction(+ : total)
  for (int64_t i = 0; i < n; i++) {
    largest = logits[i] > largest ? logits[i] : largest;
    total += logits[i];
  }
  const float at_target = logits[target];
  float sum = 0;
  int larger = 0;
#pragma omp simd reduction(+ : sum, larger)
  for (int64_t i = 0; i < n; i++) {
    larger += logits[i] > at_target ? 1 : 0;
    logits[i] = vexp(logits[i] - largest);
    sum += logits[i];
  }
  if (gradients) {
    const float scale = gradient_scale / sum;
    const float everywhere = gradient_scale * smoothing / static_cast<float>(n);
    for (int64_t i = 0; i < n; i++) logits[i] = logits[i] * scale - everywhere;
    logits[target] -= gradient_scale * (1.0f - smoothing);
  }
  const float log_sum_exp = largest + std::log(sum);
  const float mean = total / static_cast<float>(n);
  return {log_sum_exp - (1.0f - smoothing) * at_target - smoothing * mean, larger};
}

// Targets come from the user's data and are known on the device only, so they are checked here.
void check_targets(Tensor targets, int classes, int ignore_index) {
  for (int64_t i = 0; i < targets.size(); i++) {
    const int target = targets.i32()[i];
    if (target != ignore_index && (target < 0 || target >= classes))
      throw ArgumentError("expected targets from 0 to " + std::to_string(classes - 1) +
                          " or ignoreIndex " + std::to_string(ignore_index) + ", received " +
                          std::to_string(target) + " at index " + std::to_string(i));
  }
}

// sums [n] += the rows of x [rows, n], the columns shared among threads.
void add_columns(float* sums, const float* x, int64_t rows, int64_t n) {
  constexpr int64_t kColumns = 256;
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < n; begin += kColumns)
    add_rows(sums + begin, x + begin, rows, std::min(kColumns, n - begin), n);
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void linear_cross_entropy(Tensor loss, Tensor token_loss, Tensor rank, Tensor dx, Tensor dweight,
                          Tensor dbias, Tensor x, Tensor weight, Tensor bias, Tensor targets,
                          Tensor token_weights, Tensor denominator, int ignore_index,
                          float label_smoothing, Stream& stream) {
  const int64_t rows = targets.size();
  const int64_t c = x.columns();
  const int64_t n = weight.shape[0];
  check_targets(targets, static_cast<int>(n), ignore_index);
  const bool gradients = dx || dweight || dbias;
  const float gradient_scale = gradients ? 1.0f / denominator.f32()[0] : 0.0f;
  const int64_t chunk = std::min(kChunkRows, rows);
  auto* logits =
      static_cast<float*>(stream.scratch(static_cast<size_t>(chunk * n + rows) * sizeof(float)));
  float* losses = token_loss ? token_loss.f32() : logits + chunk * n;
  if (dweight && rows == 0) std::fill_n(dweight.f32(), n * c, 0.0f);
  if (dbias) std::fill_n(dbias.f32(), n, 0.0f);

  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t count = std::min(chunk, rows - first);
    const float* x_rows = x.f32() + first * c;
    check_gemm(gemm(Transpose::no, Transpose::yes, count, n, c, x_rows, c, weight.f32(), c, 0.0f,
                    logits, n));
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t i = 0; i < count; i++) {
      float* row = logits + i * n;
      const int target = targets.i32()[first + i];
      RowLoss result{0.0f, -1};
      if (target == ignore_index) {
        std::fill_n(row, n, 0.0f);
      } else {
        const float weight = token_weights ? token_weights.f32()[first + i] : 1.0f;
        result = row_loss(row, bias.f32(), n, target, label_smoothing, gradients,
                          gradient_scale * weight);
        result.loss *= weight;
      }
      losses[first + i] = result.loss;
      if (rank) rank.i32()[first + i] = result.rank;
    }
    if (dx)
      check_gemm(gemm(Transpose::no, Transpose::no, count, c, n, logits, n, weight.f32(), c, 0.0f,
                      dx.f32() + first * c, c));
    if (dweight)
      check_gemm(gemm(Transpose::yes, Transpose::no, n, c, count, logits, n, x_rows, c,
                      first == 0 ? 0.0f : 1.0f, dweight.f32(), c));
    if (dbias) add_columns(dbias.f32(), logits, count, n);
  }
  if (loss) {
    double total = 0;
    for (int64_t i = 0; i < rows; i++) total += losses[i];
    loss.f32()[0] = static_cast<float>(total / denominator.f32()[0]);
  }
}

}  // namespace cpu
