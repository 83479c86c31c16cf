// The swizzle of shared memory that TMA and wgmma share: bits 4.. of the address are exchanged by
// bits 7.. of it (PTX ISA, "Swizzling modes").
#pragma once
#include <cstdint>

namespace emulator {

// mode: how many bits; 0 none, 1 for 32 bytes, 2 for 64, 3 for 128.
inline uint32_t swizzle(uint32_t address, int mode) {
  return address ^ ((address >> 7 & ((1u << mode) - 1)) << 4);
}

}  // namespace emulator
