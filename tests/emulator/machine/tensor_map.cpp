// The encoders of tensor maps, with the constraints of the driver API's documentation
// (cuTensorMapEncodeTiled, cuTensorMapEncodeIm2col).
#include "tensor_map.h"

#include <cstring>

namespace {

using emulator::TensorMap;

int element_bytes(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      return 4;
    default:
      return 8;
  }
}

bool common(TensorMap& t, CUtensorMapDataType type, cuuint32_t rank, const void* address,
            const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* element_strides,
            CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle) {
  if (rank < 1 || rank > 5 || !address || reinterpret_cast<uintptr_t>(address) % 16 ||
      interleave != CU_TENSOR_MAP_INTERLEAVE_NONE)
    return false;
  t = TensorMap();
  t.tag = TensorMap::kTag;
  t.rank = static_cast<uint8_t>(rank);
  t.element_bytes = static_cast<uint8_t>(element_bytes(type));
  t.swizzle = static_cast<uint8_t>(swizzle);
  t.address = static_cast<const char*>(address);
  t.stride[0] = t.element_bytes;
  for (cuuint32_t i = 0; i < rank; i++) {
    if (!sizes[i] || sizes[i] > uint64_t{1} << 32) return false;
    if (!element_strides[i] || element_strides[i] > 8) return false;
    t.size[i] = static_cast<uint32_t>(sizes[i]);
    t.element_stride[i] = static_cast<uint8_t>(element_strides[i]);
    if (i == 0) continue;
    if (strides[i - 1] % 16 || !strides[i - 1] || strides[i - 1] >= uint64_t{1} << 40) return false;
    t.stride[i] = strides[i - 1];
  }
  return true;
}

// The innermost run of a box: whole 16-byte chunks, within the swizzle's span.
bool valid_inner(const TensorMap& t, int elements) {
  const int bytes = elements * t.element_bytes;
  return bytes % 16 == 0 && (!t.swizzle || bytes <= 16 << t.swizzle);
}

void store(CUtensorMap* map, const TensorMap& t) {
  static_assert(sizeof t <= sizeof *map);
  std::memset(map, 0, sizeof *map);
  std::memcpy(map, &t, sizeof t);
}

}  // namespace

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                                void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                                const cuuint32_t* box, const cuuint32_t* element_strides,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  TensorMap t;
  if (reinterpret_cast<uintptr_t>(map) % 64 ||
      !common(t, type, rank, address, sizes, strides, element_strides, interleave, swizzle))
    return CUDA_ERROR_INVALID_VALUE;
  for (cuuint32_t i = 0; i < rank; i++) {
    if (!box[i] || box[i] > 256) return CUDA_ERROR_INVALID_VALUE;
    t.box[i] = static_cast<uint16_t>(box[i]);
  }
  if (!valid_inner(t, t.box[0])) return CUDA_ERROR_INVALID_VALUE;
  store(map, t);
  return CUDA_SUCCESS;
}

CUresult cuTensorMapEncodeIm2col(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                                 void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                                 const int* lower_corner, const int* upper_corner,
                                 cuuint32_t channels, cuuint32_t pixels,
                                 const cuuint32_t* element_strides,
                                 CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                 CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  TensorMap t;
  if (rank < 3 || reinterpret_cast<uintptr_t>(map) % 64 ||
      !common(t, type, rank, address, sizes, strides, element_strides, interleave, swizzle))
    return CUDA_ERROR_INVALID_VALUE;
  if (!channels || channels > 256 || !pixels || pixels > 1024) return CUDA_ERROR_INVALID_VALUE;
  t.im2col = 1;
  t.channels = static_cast<uint16_t>(channels);
  t.pixels = static_cast<uint16_t>(pixels);
  if (!valid_inner(t, t.channels)) return CUDA_ERROR_INVALID_VALUE;
  const int bound = rank == 3 ? 32768 : rank == 4 ? 128 : 16;
  for (cuuint32_t i = 0; i < rank - 2; i++) {
    const int low = lower_corner[i], high = upper_corner[i];
    if (low < -bound || low >= bound || high < -bound || high >= bound)
      return CUDA_ERROR_INVALID_VALUE;
    // An empty bounding box.
    if (static_cast<int64_t>(t.size[1 + i]) - 1 + high < low) return CUDA_ERROR_INVALID_VALUE;
    t.lower[i] = static_cast<int16_t>(low);
    t.upper[i] = static_cast<int16_t>(high);
  }
  store(map, t);
  return CUDA_SUCCESS;
}
