// Rotary positions (Su et al. 2021, arXiv:2104.09864, section 3.4): each pair of neighbouring
// columns turns by an angle that grows with the position. Bound by sines for small rows, else by
// memory.
#include <cmath>
#include <cstring>

#include "../binding/device.h"
#include "../binding/tensor.h"

namespace cpu {
#include "../binding/kernels.h"

void rotary(Tensor out, Tensor x, Tensor positions, int size, int columns, float theta,
            bool inverse, Stream& stream) {
  const int64_t rows = x.rows();
  const int all = x.columns();
  const int pairs = size / 2;
  auto* frequencies = static_cast<double*>(stream.scratch(sizeof(double) * pairs));
  for (int i = 0; i < pairs; i++)
    frequencies[i] = (inverse ? -1 : 1) * std::pow(static_cast<double>(theta), -2.0 * i / size);
#pragma omp parallel for schedule(static) if (x.size() > 16384)
  for (int64_t row = 0; row < rows; row++) {
    const float* from = x.f32() + row * all;
    float* to = out.f32() + row * all;
    for (int i = 0; i < pairs; i++) {
      const auto angle = static_cast<float>(positions.i32()[row] * frequencies[i]);
      const float cosine = std::cos(angle);
      const float sine = std::sin(angle);
      for (int column = 2 * i; column < columns; column += size) {
        const float even = from[column];
        const float odd = from[column + 1];
        to[column] = even * cosine - odd * sine;
        to[column + 1] = odd * cosine + even * sine;
      }
    }
    if (to != from) std::memcpy(to + columns, from + columns, sizeof(float) * (all - columns));
  }
}

}  // namespace cpu
