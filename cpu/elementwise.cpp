// Fill, copy with conversion, sums and a scaling by a number in memory. Bound by memory bandwidth.
#include <algorithm>
#include <cstring>

#include "../binding/device.h"
#include "../binding/errors.h"
#include "../binding/tensor.h"
#include "bfloat16.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// One row of `n` elements between any two dtypes, through float.
void convert_row(void* out, Dtype out_dtype, const void* x, Dtype x_dtype, int64_t n) {
  const auto each = [n](auto* to, const auto* from, auto convert) {
    for (int64_t i = 0; i < n; i++) to[i] = convert(from[i]);
  };
  const auto store = [&](const auto* from, auto to_float) {
    switch (out_dtype) {
      case Dtype::float32:
        return each(static_cast<float*>(out), from, to_float);
      case Dtype::bfloat16:
        return each(static_cast<uint16_t*>(out), from,
                    [&](auto value) { return to_bf16(to_float(value)); });
      case Dtype::int32:
        return each(static_cast<int32_t*>(out), from,
                    [&](auto value) { return static_cast<int32_t>(to_float(value)); });
      case Dtype::uint8:
        return each(static_cast<uint8_t*>(out), from,
                    [&](auto value) { return static_cast<uint8_t>(to_float(value)); });
    }
  };
  const auto widen = [](auto value) { return static_cast<float>(value); };
  switch (x_dtype) {
    case Dtype::float32:
      return store(static_cast<const float*>(x), widen);
    case Dtype::bfloat16:
      return store(static_cast<const uint16_t*>(x), from_bf16);
    case Dtype::int32:
      return store(static_cast<const int32_t*>(x), widen);
    case Dtype::uint8:
      return store(static_cast<const uint8_t*>(x), widen);
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void fill(Tensor out, float value, Stream&) {
  const int64_t n = out.size();
  if (out.dtype == Dtype::float32) {
    for (int64_t i = 0; i < n; i++) out.f32()[i] = value;
  } else if (out.dtype == Dtype::int32) {
    for (int64_t i = 0; i < n; i++) out.i32()[i] = static_cast<int32_t>(value);
  } else if (out.dtype == Dtype::bfloat16) {
    std::fill_n(out.bf16(), n, to_bf16(value));
  } else {
    throw ArgumentError("expected a float32, bfloat16 or int32 tensor");
  }
}

void copy(Tensor out, Tensor x, Stream&) {
  const int64_t rows = out.rows();
  const int64_t n = out.columns();
  const int64_t x_row = x.row_stride * bytes_of(x.dtype);
  const int64_t out_row = out.row_stride * bytes_of(out.dtype);
  // Rows pair up one to one unless both sides are contiguous with different sizes of the last axis.
  const bool whole = x.columns() != n;
  const int64_t count = whole ? out.size() : n;
#pragma omp parallel for schedule(static) if (out.size() > 32768)
  for (int64_t row = 0; row < (whole ? 1 : rows); row++) {
    auto* to = static_cast<char*>(out.data) + row * out_row;
    const auto* from = static_cast<const char*>(x.data) + row * x_row;
    if (x.dtype == out.dtype) {
      std::memcpy(to, from, static_cast<size_t>(count * bytes_of(x.dtype)));
    } else {
      convert_row(to, out.dtype, from, x.dtype, count);
    }
  }
}

void add(Tensor out, Tensor a, Tensor b, Stream&) {
  const int64_t n = out.size();
#pragma omp parallel for simd schedule(static) if (n > 65536)
  for (int64_t i = 0; i < n; i++) out.f32()[i] = a.f32()[i] + b.f32()[i];
}

void accumulate(Tensor out, Tensor x, Stream&) {
  const int64_t n = out.size();
#pragma omp parallel for simd schedule(static) if (n > 65536)
  for (int64_t i = 0; i < n; i++) out.f32()[i] += x.f32()[i];
}

void multiply(Tensor out, Tensor x, Tensor factor, Stream&) {
  const int64_t n = out.size();
  const float by = factor.f32()[0];
#pragma omp parallel for simd schedule(static) if (n > 65536)
  for (int64_t i = 0; i < n; i++) out.f32()[i] = x.f32()[i] * by;
}

}  // namespace cpu
