// A row of logits before a token is chosen: maxima and the sum of exponentials.
#pragma once

namespace cpu {

constexpr int kLogitBlock = 64;  // logits that share a maximum

// maxima[i] = the largest of block i.
void block_maxima(float* maxima, const float* logits, int count);
// Sum of exp(logits - maximum): blocks in float, their sums in double.
double sum_of_exponentials(const float* logits, int count, float maximum);

}  // namespace cpu
