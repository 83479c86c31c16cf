// TMA's descriptions of tensors in global memory, made by the driver; host side. Elements are bf16.
// Sizes, strides (in elements, of the axes after the first, whose stride is 1) and boxes begin with
// the innermost axis.
#pragma once
#include <cuda.h>

#include <cstdint>
#include <initializer_list>

namespace cuda {

// Whether TMA can address rows that begin at `data` and lie `stride` elements apart.
inline bool tma_addressable(const void* data, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 8 == 0;
}

// Boxes of `box` elements; what lies outside the tensor is read as 0 and not written. The box's
// first size is the swizzle's span (64, 32, 16 elements), or without a swizzle at most 256 bytes.
CUtensorMap tiled_map(const void* data, std::initializer_list<int64_t> sizes,
                      std::initializer_list<int64_t> strides, std::initializer_list<int> box,
                      CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B);

// Filter positions over an image [batch, height, width, channels]: position (0, 0) of each image
// looks at pixel (top, left), which may lie outside; the others follow `stride` pixels apart.
struct PixelGrid {
  int top, left, stride;
  int rows, columns;  // positions of an image
};
// Whether im2col maps can express it (PTX ISA, "im2col mode": corners of a signed byte).
bool im2col_addressable(const PixelGrid& grid, int height, int width);
// Boxes of `pixels` positions x `channels` channels. pixel_stride: elements from pixel to pixel.
CUtensorMap im2col_map(const void* data, int batch, int height, int width, int channels_of_image,
                       int64_t pixel_stride, const PixelGrid& grid, int pixels, int channels = 64,
                       CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B);

}  // namespace cuda
