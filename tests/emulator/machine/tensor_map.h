// What a tensor map holds on the emulated device, in place of NVIDIA's undocumented bits.
#pragma once
#include <cuda.h>

#include <cstdint>

namespace emulator {

struct TensorMap {
  static constexpr uint32_t kTag = 0x50414d54;
  uint32_t tag;
  uint8_t rank, element_bytes, im2col, swizzle;  // swizzle: log2 of the span / 16; 0: none
  const char* address;
  uint32_t size[5];
  uint64_t stride[5];  // bytes
  uint16_t box[5];
  uint8_t element_stride[5];
  int16_t lower[3], upper[3];
  uint16_t channels, pixels;

  // Bytes that one load writes, counting what lies outside of the tensor.
  int box_bytes() const {
    if (im2col) return pixels * channels * element_bytes;
    int bytes = box[0] * element_bytes;
    for (int i = 1; i < rank; i++) bytes *= (box[i] + element_stride[i] - 1) / element_stride[i];
    return bytes;
  }
};

}  // namespace emulator
