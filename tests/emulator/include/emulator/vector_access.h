// Loads and stores of up to 16 bytes that stay one access in the emulated build too, where the
// compiler likes to take a struct apart: what is checked and counted is what a GPU does.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace emulator {

template <size_t bytes>
struct Whole;
template <>
struct Whole<1> {
  using Type __attribute__((may_alias)) = uint8_t;
};
template <>
struct Whole<2> {
  using Type __attribute__((may_alias)) = uint16_t;
};
template <>
struct Whole<4> {
  using Type __attribute__((may_alias)) = uint32_t;
};
template <>
struct Whole<8> {
  using Type __attribute__((may_alias)) = uint64_t;
};
template <>
struct Whole<16> {
  using Type __attribute__((vector_size(16), may_alias)) = uint32_t;
};

template <class V>
inline __attribute__((always_inline)) V load_whole(const V* p) {
  const auto bits = *reinterpret_cast<const typename Whole<sizeof(V)>::Type*>(p);
  V v;
  std::memcpy(static_cast<void*>(&v), &bits, sizeof v);
  return v;
}
template <class V>
inline __attribute__((always_inline)) void store_whole(V* p, const V& v) {
  typename Whole<sizeof(V)>::Type bits;
  std::memcpy(&bits, static_cast<const void*>(&v), sizeof v);
  *reinterpret_cast<typename Whole<sizeof(V)>::Type*>(p) = bits;
}

}  // namespace emulator
