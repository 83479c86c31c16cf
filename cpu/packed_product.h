// Products of a few rows, as of one step of an LSTM, with a matrix that is laid out for them once.
// With few rows a plain product spends most of its time on laying out the matrix: 64 rows with
// 2048 x 2048 numbers take half as long this way, one row a fifth (oneDNN 2.6, two cores).
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace cpu {

// Bytes that a matrix [outputs, inputs] takes once laid out, and what `pack` needs beside it.
size_t packed_bytes(int outputs, int inputs);

// packed = matrix [outputs, inputs], whose element (o, i) is at o * row + i * column; one of the
// two steps is 1. Both addresses are 64-byte aligned, or `matrix` to its elements.
void pack(void* packed, const float* matrix, int outputs, int inputs, int64_t row, int64_t column,
          void* scratch);
size_t pack_scratch(int outputs, int inputs, int64_t row, int64_t column);

// Rows to compute for `rows` wanted ones: eight sizes in each power of two, because oneDNN makes a
// program for each. Callers have room for the surplus rows.
inline int rounded_rows(int rows) {
  const int step = std::max(1, static_cast<int>(std::bit_floor(static_cast<unsigned>(rows))) / 8);
  return (rows + step - 1) / step * step;
}

// y [rows, outputs] = x [rows, inputs] matrix^T, or += with `accumulate`.
void multiply_packed(float* y, const float* x, const void* packed, int rows, int outputs,
                     int inputs, bool accumulate, void* scratch);
// Enough for any number of rows up to rounded_rows(most_rows).
size_t multiply_scratch(int most_rows, int outputs, int inputs);

}  // namespace cpu
