// Factors of dropout for runs of elements. Bound by the multiplications of Philox, not by memory.
#include "random.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace cpu {
namespace {

constexpr int kBlocks = 64;
constexpr int kHalves = 8 * kBlocks;

SIMD void words_of_blocks(uint32_t* words, uint64_t block, Randomness by) {
  for (int i = 0; i < kBlocks; i++) philox(words + 4 * i, block + static_cast<uint64_t>(i), by);
}

SIMD void keep_or_drop(float* factors, const uint16_t* halves, int64_t count, int threshold,
                       float scale) {
  for (int64_t i = 0; i < count; i++) factors[i] = halves[i] < threshold ? 0.0f : scale;
}

}  // namespace

void dropout_factors(float* factors, int64_t first, int64_t count, Randomness by,
                     float probability) {
  const int threshold = std::min(static_cast<int>(std::lround(probability * 65536.0)), 65535);
  const float scale = 65536.0f / static_cast<float>(65536 - threshold);
  uint32_t words[kHalves / 2];
  uint16_t halves[kHalves];
  for (int64_t done = 0; done < count;) {
    const int64_t element = first + done;
    const int64_t skip = element % 8;
    const int64_t now = std::min(kHalves - skip, count - done);
    words_of_blocks(words, static_cast<uint64_t>(element / 8), by);
    std::memcpy(halves, words, sizeof(halves));
    keep_or_drop(factors + done, halves + skip, now, threshold, scale);
    done += now;
  }
}

}  // namespace cpu
