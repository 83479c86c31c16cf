// Two bf16 in a register, as the matrix instructions take them.
#pragma once
#include <bit>
#include <cstdint>

namespace emulator {

inline float bf16_value(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }
inline float low_half(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
inline float high_half(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

// d[m x n] += a[m x 16] b[16 x n], row-major.
void multiply_add(float* d, const float* a, const float* b, int m, int n);

}  // namespace emulator
