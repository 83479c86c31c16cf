// Loops over a row of logits.
#include "logits.h"

#include <algorithm>
#include <limits>

#include "simd.h"

namespace cpu {

SIMD void block_maxima(float* maxima, const float* logits, int count) {
  for (int start = 0; start < count; start += kLogitBlock) {
    const int end = std::min(start + kLogitBlock, count);
    float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
    for (int i = start; i < end; i++) maximum = logits[i] > maximum ? logits[i] : maximum;
    maxima[start / kLogitBlock] = maximum;
  }
}

SIMD double sum_of_exponentials(const float* logits, int count, float maximum) {
  double total = 0;
  for (int start = 0; start < count; start += kLogitBlock) {
    const int end = std::min(start + kLogitBlock, count);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = start; i < end; i++) sum += vexp(logits[i] - maximum);
    total += static_cast<double>(sum);
  }
  return total;
}

}  // namespace cpu
