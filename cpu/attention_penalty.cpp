// Doubly stochastic attention: over a caption every cell of the image should get a share of 1 in
// all. Bound by memory, and small.
#include <algorithm>
#include <vector>

#include "../binding/device.h"
#include "../binding/tensor.h"

namespace cpu {
#include "../binding/kernels.h"

void attention_penalty(Tensor out, Tensor sums, Tensor factor, Tensor alpha, Tensor offsets,
                       Tensor targets, Tensor denominator, int ignore_index, float scale, Stream&) {
  const int rows = sums.shape[0];
  const int cells = sums.shape[1];
  std::vector<double> squares(rows);
  std::vector<int> counted(rows);
#pragma omp parallel for schedule(static)
  for (int row = 0; row < rows; row++) {
    float* sum = sums.f32() + int64_t{row} * cells;
    std::fill_n(sum, cells, 0.0f);
    for (int token = offsets.i32()[row]; token < offsets.i32()[row + 1]; token++) {
      if (targets.i32()[token] == ignore_index) continue;
      const float* share = alpha.f32() + int64_t{token} * cells;
      for (int s = 0; s < cells; s++) sum[s] += share[s];
      counted[row]++;
    }
    if (counted[row] > 0)
      for (int s = 0; s < cells; s++) squares[row] += double{1 - sum[s]} * (1 - sum[s]);
  }
  double total = 0;
  int64_t tokens = 0, captions = 0;
  for (int row = 0; row < rows; row++) {
    total += squares[row];
    tokens += counted[row];
    captions += counted[row] > 0;
  }
  const double share = static_cast<double>(tokens) / denominator.f32()[0];
  const double weight =
      captions > 0 ? scale * share / (static_cast<double>(captions) * cells) : 0.0;
  factor.f32()[0] = static_cast<float>(weight);
  out.f32()[0] = static_cast<float>(weight * total);
}

void attention_penalty_backward(Tensor dalpha, Tensor dout, Tensor sums, Tensor factor,
                                Tensor offsets, Tensor targets, int ignore_index, Stream&) {
  const int rows = sums.shape[0];
  const int cells = sums.shape[1];
  const float weight = 2 * factor.f32()[0] * dout.f32()[0];
#pragma omp parallel for schedule(static)
  for (int row = 0; row < rows; row++) {
    const float* sum = sums.f32() + int64_t{row} * cells;
    for (int token = offsets.i32()[row]; token < offsets.i32()[row + 1]; token++) {
      const bool counts = targets.i32()[token] != ignore_index;
      float* gradient = dalpha.f32() + int64_t{token} * cells;
      for (int s = 0; s < cells; s++) gradient[s] = counts ? weight * (sum[s] - 1) : 0;
    }
  }
}

}  // namespace cpu
