// Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3", section 4.3 and table 2). A block is the four words of the counter (block low,
// block high, tag, step) under the key `seed`. Dropout: element i of a call site takes half-word i
// % 8 of block i / 8, low halves first; nothing else matters, least of all threads.
#pragma once
#include <cstdint>

#include "../binding/tensor.h"
#include "simd.h"

namespace cpu {

// What fixes the numbers of one call site in one step.
struct Randomness {
  uint32_t seed_low, seed_high, step, tag;

  // rng: int32 [3], as in kernels.h.
  Randomness(Tensor rng, int site)
      : seed_low(static_cast<uint32_t>(rng.i32()[0])),
        seed_high(static_cast<uint32_t>(rng.i32()[1])),
        step(static_cast<uint32_t>(rng.i32()[2])),
        tag(static_cast<uint32_t>(site)) {}
  Randomness(uint32_t low, uint32_t high, uint32_t at_step, uint32_t site)
      : seed_low(low), seed_high(high), step(at_step), tag(site) {}
};

// 64-bit lanes throughout, because that is how vector units multiply 32 by 32 bits.
SIMD_INLINE void philox(uint32_t words[4], uint64_t block, Randomness by) {
  constexpr uint64_t kLow = 0xffffffffu;
  uint64_t c0 = block & kLow;
  uint64_t c1 = block >> 32;
  uint64_t c2 = by.tag;
  uint64_t c3 = by.step;
  uint32_t k0 = by.seed_low;
  uint32_t k1 = by.seed_high;
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xD2511F53u} * c0;
    const uint64_t b = uint64_t{0xCD9E8D57u} * c2;
    c0 = (b >> 32) ^ c1 ^ k0;
    c1 = b & kLow;
    c2 = (a >> 32) ^ c3 ^ k1;
    c3 = a & kLow;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  words[0] = static_cast<uint32_t>(c0);
  words[1] = static_cast<uint32_t>(c1);
  words[2] = static_cast<uint32_t>(c2);
  words[3] = static_cast<uint32_t>(c3);
}

// factors[j] = 0 where element first + j is dropped, else what keeps the mean: 1 / (1 -
// probability), the probability rounded to 1 / 65536. Call it on runs of a hundred elements or
// more.
void dropout_factors(float* factors, int64_t first, int64_t count, Randomness by,
                     float probability);

}  // namespace cpu
