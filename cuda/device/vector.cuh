// Loads and stores of several neighbouring elements as one access, and conversion to and from the
// float32 that all arithmetic is done in.
#pragma once
#include <cstring>
#include <type_traits>

#include "device.cuh"
#ifdef CAPTIONEER_EMULATED
#include "emulator/vector_access.h"
#endif

namespace cuda {

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __bfloat162float(x); }
DEVICE float to_float(int32_t x) { return static_cast<float>(x); }
DEVICE float to_float(uint8_t x) { return static_cast<float>(x); }

template <class T>
DEVICE T from_float(float x) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __float2bfloat16(x);
  } else {
    return static_cast<T>(x);
  }
}

// Two bf16 in one register, `low` at the lower address.
DEVICE uint32_t pack_bf16(float low, float high) {
  const bf162 pair = __floats2bfloat162_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}
DEVICE float2 unpack_bf16(uint32_t bits) {
  bf162 pair;
  memcpy(&pair, &bits, sizeof pair);
  return __bfloat1622float2(pair);
}

// N elements that move as one access of N * sizeof(T) = 2, 4, 8 or 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T values[N];
};

// One access, whatever V is made of.
#ifdef CAPTIONEER_EMULATED
using emulator::load_whole;
using emulator::store_whole;
#else
template <class V>
DEVICE V load_whole(const V* p) {
  return *p;
}
template <class V>
DEVICE void store_whole(V* p, const V& v) {
  *p = v;
}
#endif

// Elements in a 16-byte access.
template <class T>
constexpr int kVector = 16 / sizeof(T);

// Elements of each access when N of them move: all, or 16 bytes at a time.
template <class T, int N>
constexpr int kAccess = N < kVector<T> ? N : kVector<T>;

// p must be aligned to N * sizeof(T) bytes, or to 16 where that is more.
template <int N, class T>
DEVICE void load(float (&out)[N], const T* p) {
  constexpr int step = kAccess<T, N>;
  static_assert(N % step == 0);
#pragma unroll
  for (int first = 0; first < N; first += step) {
    const auto v = load_whole(reinterpret_cast<const Vector<T, step>*>(p + first));
#pragma unroll
    for (int i = 0; i < step; i++) out[first + i] = to_float(v.values[i]);
  }
}
// The same in two steps, for accesses that are to be under way together or move elements as they
// are; N as in Vector.
template <int N, class T>
DEVICE Vector<T, N> load_raw(const T* p) {
  return load_whole(reinterpret_cast<const Vector<T, N>*>(p));
}
template <class T, int N>
DEVICE void store(T* p, const Vector<T, N>& v) {
  *reinterpret_cast<Vector<T, N>*>(p) = v;
}
template <int N, class T>
DEVICE void unpack(float (&out)[N], const Vector<T, N>& v) {
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = to_float(v.values[i]);
}
template <int N, class T>
DEVICE void store(T* p, const float (&x)[N]) {
  constexpr int step = kAccess<T, N>;
  static_assert(N % step == 0);
#pragma unroll
  for (int first = 0; first < N; first += step) {
    Vector<T, step> v;
    if constexpr (std::is_same_v<T, bf16> && step % 2 == 0) {
      uint32_t pairs[step / 2];  // one conversion for two elements
#pragma unroll
      for (int i = 0; i < step / 2; i++)
        pairs[i] = pack_bf16(x[first + 2 * i], x[first + 2 * i + 1]);
      memcpy(static_cast<void*>(&v), pairs, sizeof v);
    } else {
#pragma unroll
      for (int i = 0; i < step; i++) v.values[i] = from_float<T>(x[first + i]);
    }
    store_whole(reinterpret_cast<Vector<T, step>*>(p + first), v);
  }
}

}  // namespace cuda
