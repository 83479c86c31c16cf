// Shuffles, votes and block barriers under their CUDA names.
#pragma once
#include "emulator/execution.h"

namespace emulator {

template <class T>
struct Shuffle {
  T in, out;
  int source;
};

template <class T>
void execute_shuffle(void** operands, uint32_t mask) {
  for (int i = 0; i < 32; i++) {
    if (!(mask >> i & 1)) continue;
    auto* own = static_cast<Shuffle<T>*>(operands[i]);
    if (!(mask >> own->source & 1))
      fail("shuffle: lane %d reads lane %d, which is not in mask %08x", i, own->source, mask);
    own->out = static_cast<Shuffle<T>*>(operands[own->source])->in;
  }
}

template <class T>
EMULATOR_INLINE T shuffle(uint32_t mask, T value, int source) {
  Shuffle<T> operand{value, value, source};
  warp_collective(mask, &execute_shuffle<T>, &operand);
  return operand.out;
}

uint32_t ballot(uint32_t mask, bool predicate);
// Combines the values of all lanes of the mask; operation: + & | ^ < (minimum) > (maximum).
template <class T>
T reduce(uint32_t mask, T value, char operation);

void warp_barrier(uint32_t mask);

}  // namespace emulator

EMULATOR_INLINE void __syncthreads() { emulator::barrier_sync(0, 0); }
EMULATOR_INLINE int __syncthreads_count(int predicate) {
  return emulator::barrier_count(predicate);
}
EMULATOR_INLINE int __syncthreads_or(int predicate) {
  return emulator::barrier_count(predicate) != 0;
}
EMULATOR_INLINE int __syncthreads_and(int predicate) {
  return emulator::barrier_count(!predicate) == 0;
}
EMULATOR_INLINE void __syncwarp(uint32_t mask = ~0u) { emulator::warp_barrier(mask); }

template <class T>
EMULATOR_INLINE T __shfl_sync(uint32_t mask, T value, int source, int width = 32) {
  const int lane = static_cast<int>(emulator::lane());
  return emulator::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)));
}
template <class T>
EMULATOR_INLINE T __shfl_xor_sync(uint32_t mask, T value, int flip, int width = 32) {
  const int lane = static_cast<int>(emulator::lane()), source = lane ^ flip;
  return emulator::shuffle(mask, value, source >= (lane & ~(width - 1)) + width ? lane : source);
}
template <class T>
EMULATOR_INLINE T __shfl_down_sync(uint32_t mask, T value, unsigned distance, int width = 32) {
  const int lane = static_cast<int>(emulator::lane()), source = lane + static_cast<int>(distance);
  return emulator::shuffle(mask, value, source >= (lane & ~(width - 1)) + width ? lane : source);
}
template <class T>
EMULATOR_INLINE T __shfl_up_sync(uint32_t mask, T value, unsigned distance, int width = 32) {
  const int lane = static_cast<int>(emulator::lane()), source = lane - static_cast<int>(distance);
  return emulator::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source);
}

EMULATOR_INLINE uint32_t __ballot_sync(uint32_t mask, int predicate) {
  return emulator::ballot(mask, predicate != 0);
}
EMULATOR_INLINE int __any_sync(uint32_t mask, int predicate) {
  return emulator::ballot(mask, predicate != 0) != 0;
}
EMULATOR_INLINE int __all_sync(uint32_t mask, int predicate) {
  return emulator::ballot(mask, predicate == 0) == 0;
}
EMULATOR_INLINE unsigned __reduce_add_sync(uint32_t m, unsigned v) {
  return emulator::reduce(m, v, '+');
}
EMULATOR_INLINE int __reduce_add_sync(uint32_t m, int v) { return emulator::reduce(m, v, '+'); }
EMULATOR_INLINE unsigned __reduce_min_sync(uint32_t m, unsigned v) {
  return emulator::reduce(m, v, '<');
}
EMULATOR_INLINE int __reduce_min_sync(uint32_t m, int v) { return emulator::reduce(m, v, '<'); }
EMULATOR_INLINE unsigned __reduce_max_sync(uint32_t m, unsigned v) {
  return emulator::reduce(m, v, '>');
}
EMULATOR_INLINE int __reduce_max_sync(uint32_t m, int v) { return emulator::reduce(m, v, '>'); }
EMULATOR_INLINE unsigned __reduce_and_sync(uint32_t m, unsigned v) {
  return emulator::reduce(m, v, '&');
}
EMULATOR_INLINE unsigned __reduce_or_sync(uint32_t m, unsigned v) {
  return emulator::reduce(m, v, '|');
}
EMULATOR_INLINE unsigned __reduce_xor_sync(uint32_t m, unsigned v) {
  return emulator::reduce(m, v, '^');
}
