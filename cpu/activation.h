// The activations by the codes of kernels.h, and their derivatives as functions of the value before
// the activation.
#pragma once
#include <type_traits>

#include "simd.h"

namespace cpu {

enum Activation : int { kNone = 0, kRelu = 1, kRelu6 = 2, kGelu = 3, kSilu = 4 };

template <int kind>
SIMD_INLINE float activate(float x) {
  if constexpr (kind == kRelu) return x < 0.0f ? 0.0f : x;
  if constexpr (kind == kRelu6) {
    const float low = x < 0.0f ? 0.0f : x;
    return low > 6.0f ? 6.0f : low;
  }
  if constexpr (kind == kGelu) return 0.5f * x * (1.0f + verf(x * 0.70710678f));
  if constexpr (kind == kSilu) return x * vsigmoid(x);
  return x;
}

template <int kind>
SIMD_INLINE float activation_derivative(float x) {
  if constexpr (kind == kRelu) return x > 0.0f ? 1.0f : 0.0f;
  if constexpr (kind == kRelu6) return (x > 0.0f) & (x < 6.0f) ? 1.0f : 0.0f;
  if constexpr (kind == kGelu)
    return 0.5f * (1.0f + verf(x * 0.70710678f)) + x * 0.39894228f * vexp(-0.5f * x * x);
  if constexpr (kind == kSilu) {
    const float s = vsigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
  return 1.0f;
}

// Calls body(std::integral_constant<int, activation>): the code as a template argument.
template <class Body>
void with_activation(int activation, Body body) {
  switch (activation) {
    case kRelu:
      return body(std::integral_constant<int, kRelu>{});
    case kRelu6:
      return body(std::integral_constant<int, kRelu6>{});
    case kGelu:
      return body(std::integral_constant<int, kGelu>{});
    case kSilu:
      return body(std::integral_constant<int, kSilu>{});
    default:
      return body(std::integral_constant<int, kNone>{});
  }
}

}  // namespace cpu
