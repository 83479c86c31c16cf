// Counter-based random numbers on the device: the same Philox 4x32-10 as cpu/random.h, so that both
// backends drop the same elements.
#pragma once
#include "device.cuh"

namespace cuda {

// What fixes the numbers of one call site in one step.
struct Randomness {
  uint32_t seed_low, seed_high, step, tag;

  // rng: int32 [3] in device memory, as in kernels.h.
  DEVICE Randomness(const int* rng, int site)
      : seed_low(rng[0]), seed_high(rng[1]), step(rng[2]), tag(site) {}
  DEVICE Randomness(uint32_t low, uint32_t high, uint32_t at_step, uint32_t site)
      : seed_low(low), seed_high(high), step(at_step), tag(site) {}
};

DEVICE uint4 philox(uint64_t block, const Randomness& by) {
  uint32_t c0 = static_cast<uint32_t>(block);
  uint32_t c1 = static_cast<uint32_t>(block >> 32);
  uint32_t c2 = by.tag;
  uint32_t c3 = by.step;
  uint32_t k0 = by.seed_low;
  uint32_t k1 = by.seed_high;
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xD2511F53u} * c0;
    const uint64_t b = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(b);
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(a);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return make_uint4(c0, c1, c2, c3);
}

// Dropout: a probability in 1 / 65536, and what keeps the mean.
struct DropoutRate {
  uint32_t threshold;
  float scale;

  __host__ __device__ explicit DropoutRate(float probability) {
    const uint32_t rounded = static_cast<uint32_t>(probability * 65536.0f + 0.5f);
    threshold = rounded < 65535u ? rounded : 65535u;
    scale = 65536.0f / static_cast<float>(65536u - threshold);
  }
};

// Factors of the eight elements 8 * block .. 8 * block + 7: half-words of the block, low halves
// first.
DEVICE void dropout_factors(float (&factors)[8], uint64_t block, const Randomness& by,
                            DropoutRate rate) {
  const uint4 bits = philox(block, by);
  const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const uint32_t half = i % 2 == 0 ? words[i / 2] & 0xffffu : words[i / 2] >> 16;
    factors[i] = half < rate.threshold ? 0.0f : rate.scale;
  }
}

}  // namespace cuda
