// The activations by the codes of kernels.h, and their derivatives as functions of the value before
// the activation.
#pragma once
#include <cmath>
#include <type_traits>

#include "device.cuh"

namespace cuda {

enum Activation : int { kNone = 0, kRelu = 1, kRelu6 = 2, kGelu = 3, kSilu = 4 };

template <int kind>
DEVICE float activate(float x) {
  if constexpr (kind == kRelu) return x < 0.0f ? 0.0f : x;
  if constexpr (kind == kRelu6) return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
  if constexpr (kind == kGelu) return 0.5f * x * (1.0f + erff(x * 0.70710678f));
  if constexpr (kind == kSilu) return x / (1.0f + expf(-x));
  return x;
}

template <int kind>
DEVICE float activation_derivative(float x) {
  if constexpr (kind == kRelu) return x > 0.0f ? 1.0f : 0.0f;
  if constexpr (kind == kRelu6) return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
  if constexpr (kind == kGelu)
    return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
  if constexpr (kind == kSilu) {
    const float s = 1.0f / (1.0f + expf(-x));
    return s * (1.0f + x * (1.0f - s));
  }
  return 1.0f;
}

// The same with the code known only at run time: for kernels that wait for memory anyway, where one
// more branch costs nothing and fewer kernels are compiled.
DEVICE float activate(int kind, float x) {
  switch (kind) {
    case kRelu:
      return activate<kRelu>(x);
    case kRelu6:
      return activate<kRelu6>(x);
    case kGelu:
      return activate<kGelu>(x);
    case kSilu:
      return activate<kSilu>(x);
    default:
      return x;
  }
}

// For several values at once: one branch for all of them.
template <int N>
DEVICE void activate_all(int kind, float (&x)[N]) {
  const auto each = [&](auto constant) {
#pragma unroll
    for (int i = 0; i < N; i++) x[i] = activate<decltype(constant)::value>(x[i]);
  };
  switch (kind) {
    case kRelu:
      return each(std::integral_constant<int, kRelu>{});
    case kRelu6:
      return each(std::integral_constant<int, kRelu6>{});
    case kGelu:
      return each(std::integral_constant<int, kGelu>{});
    case kSilu:
      return each(std::integral_constant<int, kSilu>{});
  }
}
// x[i] *= derivative at `at[i]`
template <int N>
DEVICE void multiply_by_derivative(int kind, float (&x)[N], const float (&at)[N]) {
  const auto each = [&](auto constant) {
#pragma unroll
    for (int i = 0; i < N; i++) x[i] *= activation_derivative<decltype(constant)::value>(at[i]);
  };
  switch (kind) {
    case kRelu:
      return each(std::integral_constant<int, kRelu>{});
    case kRelu6:
      return each(std::integral_constant<int, kRelu6>{});
    case kGelu:
      return each(std::integral_constant<int, kGelu>{});
    case kSilu:
      return each(std::integral_constant<int, kSilu>{});
  }
}

// The activation as a template argument with fewer kernels: none, relu and relu6 (kind kNone) are
// one, they cut off what lies outside a range. Their gradient may be given the value after the
// activation as well.
template <int kind>
struct ActivationOf {
  float low = -INFINITY, high = INFINITY;

  explicit ActivationOf(int activation) {
    if (activation == kRelu || activation == kRelu6) low = 0.0f;
    if (activation == kRelu6) high = 6.0f;
  }
  DEVICE float value(float z) const {
    if constexpr (kind != kNone) return activate<kind>(z);
    return z < low ? low : z > high ? high : z;
  }
  DEVICE float gradient(float dout, float z) const {
    if constexpr (kind != kNone) return dout * activation_derivative<kind>(z);
    return z <= low || z >= high ? 0.0f : dout;
  }
};

}  // namespace cuda
