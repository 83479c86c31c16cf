// See tensor_map.h. The encoders are the driver library's; they are looked up when first needed, so
// that the addon loads without a driver.
#include "tensor_map.h"

#include <cudaTypedefs.h>
#include <cuda_runtime.h>

#include <string>
#include <vector>

#include "../../binding/errors.h"
#include "check.h"

namespace cuda {
namespace {

template <class Function>
Function driver_function(const char* name) {
  constexpr unsigned first_version = 12000;
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(cudaGetDriverEntryPointByVersion(name, &function, first_version, cudaEnableDefault, &found),
        name);
  if (found != cudaDriverEntryPointSuccess || !function)
    throw DeviceError("the GPU driver lacks " + std::string(name) +
                      ", which Hopper's kernels need. Install a driver for CUDA 12 or later");
  return reinterpret_cast<Function>(function);
}

std::string listed(const std::vector<cuuint64_t>& numbers) {
  std::string text;
  for (const cuuint64_t number : numbers)
    text += (text.empty() ? "" : ", ") + std::to_string(number);
  return "[" + text + "]";
}

void check_encoded(CUresult result, const char* kind, const void* data,
                   const std::vector<cuuint64_t>& sizes, const std::vector<cuuint64_t>& strides) {
  if (result == CUDA_SUCCESS) return;
  throw InternalError("making " + std::string(kind) + " tensor map of sizes " + listed(sizes) +
                      ", strides " + listed(strides) + " bytes at address modulo 16 " +
                      std::to_string(reinterpret_cast<uintptr_t>(data) % 16) +
                      ": the driver answered CUresult " + std::to_string(int(result)));
}

std::vector<cuuint64_t> bytes_of_strides(std::initializer_list<int64_t> strides) {
  std::vector<cuuint64_t> bytes;
  for (const int64_t stride : strides) bytes.push_back(static_cast<cuuint64_t>(stride) * 2);
  return bytes;
}

bool fits_corner(int corner) { return corner >= -128 && corner <= 127; }

// The driver wants maps on 64-byte borders; some compilers' temporaries for returned ones are not
// (GCC 12), but this is.
struct Slot {
  CUtensorMap map;
};

// The distance from the last pixel of an axis to the pixel that the last position looks at.
int upper_corner(int first, int stride, int positions, int size) {
  return first + (positions - 1) * stride - (size - 1);
}

}  // namespace

CUtensorMap tiled_map(const void* data, std::initializer_list<int64_t> sizes,
                      std::initializer_list<int64_t> strides, std::initializer_list<int> box,
                      CUtensorMapSwizzle swizzle) {
  static const auto encode =
      driver_function<PFN_cuTensorMapEncodeTiled_v12000>("cuTensorMapEncodeTiled");
  const std::vector<cuuint64_t> extents(sizes.begin(), sizes.end());
  const std::vector<cuuint64_t> steps = bytes_of_strides(strides);
  const std::vector<cuuint32_t> boxes(box.begin(), box.end());
  const std::vector<cuuint32_t> every(sizes.size(), 1);
  Slot slot;
  check_encoded(
      encode(&slot.map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(extents.size()),
             const_cast<void*>(data), extents.data(), steps.data(), boxes.data(), every.data(),
             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
      "a tiled", data, extents, steps);
  return slot.map;
}

bool im2col_addressable(const PixelGrid& grid, int height, int width) {
  return grid.stride <= 8 && fits_corner(grid.top) && fits_corner(grid.left) &&
         fits_corner(upper_corner(grid.top, grid.stride, grid.rows, height)) &&
         fits_corner(upper_corner(grid.left, grid.stride, grid.columns, width));
}

CUtensorMap im2col_map(const void* data, int batch, int height, int width, int channels_of_image,
                       int64_t pixel_stride, const PixelGrid& grid, int pixels, int channels,
                       CUtensorMapSwizzle swizzle) {
  static const auto encode =
      driver_function<PFN_cuTensorMapEncodeIm2col_v12000>("cuTensorMapEncodeIm2col");
  const auto c = static_cast<cuuint64_t>(channels_of_image), w = static_cast<cuuint64_t>(width),
             h = static_cast<cuuint64_t>(height), n = static_cast<cuuint64_t>(batch);
  const std::vector<cuuint64_t> extents = {c, w, h, n};
  const std::vector<cuuint64_t> steps =
      bytes_of_strides({pixel_stride, pixel_stride * width, pixel_stride * width * height});
  const int lower[2] = {grid.left, grid.top};
  const int upper[2] = {upper_corner(grid.left, grid.stride, grid.columns, width),
                        upper_corner(grid.top, grid.stride, grid.rows, height)};
  const auto stride = static_cast<cuuint32_t>(grid.stride);
  const cuuint32_t every[4] = {1, stride, stride, 1};
  Slot slot;
  check_encoded(
      encode(&slot.map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<void*>(data),
             extents.data(), steps.data(), lower, upper, static_cast<cuuint32_t>(channels),
             static_cast<cuuint32_t>(pixels), every, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
      "an im2col", data, extents, steps);
  return slot.map;
}

}  // namespace cuda
