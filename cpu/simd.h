// Loops that use the machine's vectors: the attribute that compiles a function for several
// instruction sets, and float functions that GCC can vectorise inside such a function. They have no
// branches and call nothing. Polynomials and rationals: our own weighted minimax fits (Lawson
// iteration), errors noted beside them.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>

// The best version for the processor is chosen once, when the addon is loaded. By level: a name
// such as arch=haswell would be taken on that very processor only. OpenMP's outlined bodies are not
// versioned: a parallel region must call a SIMD function on its share.
#ifdef __x86_64__
#define SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SIMD
#endif
#define SIMD_INLINE inline __attribute__((always_inline))

namespace cpu {

// Within 1 ulp; 0 below -87, because subnormal numbers are slow. NaN stays NaN, as everywhere here.
SIMD_INLINE float vexp(float x) {
  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits.
  constexpr float kRound = 12582912.0f;
  const float high = x > 89.0f ? 89.0f : x;
  const float clamped = high < -100.0f ? -100.0f : high;
  const float shifted = clamped * 1.44269504f + kRound;
  const float n = shifted - kRound;
  float r = clamped - n * 0.693359375f;  // log 2 in two parts, the first exact in 10 bits
  r = r + n * 2.12194440e-4f;
  // exp(r) = 1 + r + r^2 p(r) for |r| <= log(2) / 2; relative error 3.4e-9
  float p = 0.001395169592f;
  p = p * r + 0.008369599975f;
  p = p * r + 0.04166618759f;
  p = p * r + 0.1666651287f;
  p = p * r + 0.5000000101f;
  const float mantissa = 1.0f + (r + r * r * p);
  // 2^n as a product of two, because n reaches 128
  const int32_t integer = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const int32_t half = integer >> 1;
  const float first = std::bit_cast<float>((half + 127) << 23);
  const float second = std::bit_cast<float>(integer < -125 ? 0 : (integer - half + 127) << 23);
  return mantissa * first * second;
}

// Within 1 ulp for normal x > 0; -infinity for others, NaN for infinities.
SIMD_INLINE float vlog(float x) {
  // x = m 2^e with m from sqrt(1/2) to sqrt(2)
  constexpr uint32_t kRootHalf = 0x3f3504f3u;
  const uint32_t shifted = std::bit_cast<uint32_t>(x) - kRootHalf;
  const float e = static_cast<float>(static_cast<int32_t>(shifted) >> 23);
  const float m = std::bit_cast<float>((shifted & 0x007fffffu) + kRootHalf);
  // log(m) = 2 s + s^3 p(s^2) with f = m - 1, s = f / (2 + f) and 2 s = f - s f; error of the
  // fit 1.7e-9 s
  const float f = m - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  const float p = (0.2988533749f * z + 0.3997707267f) * z + 0.6666677984f;
  const float y = e * 0.693359375f + (f - (s * (f - z * p) + e * 2.12194440e-4f));
  const float low =
      x < std::numeric_limits<float>::min() ? -std::numeric_limits<float>::infinity() : y;
  return low + (x - x);  // NaN stays
}

// Absolute error 5e-7: x p(x^2) / q(x^2) up to 3.92, where erf is 1 in float32.
SIMD_INLINE float verf(float x) {
  const float high = x > 3.92f ? 3.92f : x;
  const float c = high < -3.92f ? -3.92f : high;
  const float t = c * c;
  float p = 2.050052088e-6f;
  p = p * t + 0.0002847599439f;
  p = p * t + 0.003762178933f;
  p = p * t + 0.05273794026f;
  p = p * t + 0.1903325868f;
  p = p * t + 1.128379147f;
  float q = 3.808494725e-5f;
  q = q * t + 0.001161617715f;
  q = q * t + 0.01496235929f;
  q = q * t + 0.1140776567f;
  q = q * t + 0.5020106225f;
  q = q * t + 1.0f;
  return c * p / q;
}

// Absolute error 5e-7: x p(x^2) / q(x^2) up to 9.02, where tanh is 1 in float32.
SIMD_INLINE float vtanh(float x) {
  const float high = x > 9.02f ? 9.02f : x;
  const float c = high < -9.02f ? -9.02f : high;
  const float t = c * c;
  float p = -1.220124119e-11f;
  p = p * t + 3.058189951e-8f;
  p = p * t + 2.800612201e-5f;
  p = p * t + 0.003868260454f;
  p = p * t + 0.136798611f;
  p = p * t + 0.9999999987f;
  float q = 1.287274385e-6f;
  q = q * t + 0.0003938513199f;
  q = q * t + 0.02724559167f;
  q = q * t + 0.4701319315f;
  q = q * t + 1.0f;
  return c * p / q;
}

SIMD_INLINE float vsigmoid(float x) { return 1.0f / (1.0f + vexp(-x)); }

}  // namespace cpu
