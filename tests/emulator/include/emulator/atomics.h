// CUDA's atomic functions: relaxed, as on the device, so they order no other memory.
#pragma once
#include <bit>
#include <type_traits>

#include "emulator/execution.h"

namespace emulator {

// The compiler's access hooks would take this loop for plain accesses.
template <class T, class F>
__attribute__((no_sanitize("thread"), noinline)) T exchange(T* address, F update) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  static_assert(sizeof(T) == sizeof(Bits));
  auto* word = reinterpret_cast<Bits*>(address);
  Bits old = __atomic_load_n(word, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(word, &old,
                                      std::bit_cast<Bits>(update(std::bit_cast<T>(old))), true,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return std::bit_cast<T>(old);
}

template <class T, class F>
EMULATOR_INLINE T atomic_update(T* address, F update) {
  note_atomic(address, sizeof(T));
  return exchange(address, update);
}

}  // namespace emulator

template <class T>
EMULATOR_INLINE T atomicAdd(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T old) { return T(old + v); });
}
template <class T>
EMULATOR_INLINE T atomicSub(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T old) { return T(old - v); });
}
template <class T>
EMULATOR_INLINE T atomicMax(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T old) { return old < v ? v : old; });
}
template <class T>
EMULATOR_INLINE T atomicMin(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T old) { return v < old ? v : old; });
}
template <class T>
EMULATOR_INLINE T atomicAnd(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T old) { return T(old & v); });
}
template <class T>
EMULATOR_INLINE T atomicOr(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T old) { return T(old | v); });
}
template <class T>
EMULATOR_INLINE T atomicXor(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T old) { return T(old ^ v); });
}
template <class T>
EMULATOR_INLINE T atomicExch(T* p, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [v](T) { return v; });
}
template <class T>
EMULATOR_INLINE T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return emulator::atomic_update(p, [=](T old) { return old == expected ? v : old; });
}

// Order between threads comes from barriers alone in the emulator's checks: a fence does not
// make another thread's data visible by itself.
inline void __threadfence() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
