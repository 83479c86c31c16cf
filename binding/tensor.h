// What a kernel sees of a tensor: address, element type, sizes. Ownership stays with
// tensor_table.h.
#pragma once
#include <cstdint>

enum class Dtype : int { float32 = 0, bfloat16 = 1, int32 = 2, uint8 = 3 };

inline int bytes_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::float32:
    case Dtype::int32:
      return 4;
    case Dtype::bfloat16:
      return 2;
    case Dtype::uint8:
      return 1;
  }
  return 0;
}

constexpr int kMaxRank = 5;

// Row-major. Only the step between rows of the last axis may exceed the row's length (a view of
// some columns). An absent optional tensor has no data.
struct Tensor {
  void* data = nullptr;
  Dtype dtype = Dtype::float32;
  int rank = 0;
  int shape[kMaxRank] = {1, 1, 1, 1, 1};
  int64_t row_stride = 0;  // elements

  explicit operator bool() const { return data != nullptr; }
  int64_t size() const {
    int64_t product = 1;
    for (int i = 0; i < rank; i++) product *= shape[i];
    return product;
  }
  int columns() const { return rank == 0 ? 1 : shape[rank - 1]; }
  int64_t rows() const { return columns() == 0 ? 0 : size() / columns(); }
  int64_t bytes() const { return size() * bytes_of(dtype); }
  float* f32() const { return static_cast<float*>(data); }
  int32_t* i32() const { return static_cast<int32_t*>(data); }
  uint8_t* u8() const { return static_cast<uint8_t*>(data); }
  uint16_t* bf16() const { return static_cast<uint16_t*>(data); }
};
