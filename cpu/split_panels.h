// float32 numbers as sums of three bfloat16, laid out for the processor's matrix unit (Intel AMX).
// What is multiplied stands in split_product.cpp.
#pragma once
#if defined(__x86_64__) && defined(__linux__)
#define CAPTIONEER_MATRIX_UNIT
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "split_product.h"

// Functions of their own rather than SIMD clones: the unit has no other version.
#define MATRIX_UNIT __attribute__((target("arch=x86-64-v4,amx-tile,amx-bf16")))

namespace cpu {

// The unit's registers are tiles, 16 rows of 64 bytes. Of one matrix a row of a tile holds 32
// numbers along k, two in a word; of the other a row holds two numbers along k of each of 16 rows.
// The two in word r of 16 are r and r + 16: any order does that both have.
constexpr int kTile = 16;
constexpr int kStep = 2 * kTile;
constexpr int kPieceWords = kTile * kTile;
constexpr int kTileWords = 3 * kPieceWords;
// Registers are loaded two by two: panels are two tiles wide.
constexpr int kPanel = 2 * kTile;

inline int64_t tiles_of(int64_t rows) { return (rows + kTile - 1) / kTile; }
inline int64_t panels_of(int64_t rows) { return (rows + kPanel - 1) / kPanel; }
inline int64_t steps_of(int64_t numbers) { return (numbers + kStep - 1) / kStep; }

inline Operand from(const Operand& x, int64_t row, int64_t number) {
  return {x.data + (x.along ? row * x.stride + number : number * x.stride + row), x.stride,
          x.along};
}

typedef float Floats __attribute__((vector_size(64), may_alias));

MATRIX_UNIT inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, kTile)) - 1);
}

MATRIX_UNIT inline Floats load(__mmask16 mask, const float* x) {
  return (Floats)_mm512_maskz_loadu_ps(mask, x);
}

// A square of 16 x 16 floats from memory, zeros beyond its rows and columns, and the other way
// round.
MATRIX_UNIT void load_square(Floats* square, const float* x, int64_t stride, int64_t rows,
                             int64_t columns);
MATRIX_UNIT void transpose_square(Floats* square);

// Up to 32 rows of an operand, so many numbers of them along k, into a panel: step by step two
// tiles of three pieces each, whose rows hold numbers `along` k, or else rows of the operand.
MATRIX_UNIT void split_panel(uint32_t* panel, const Operand& x, int64_t rows, int64_t numbers,
                             bool along);

// The same little by little, for tiles that lie in the operand's own order: while the unit
// multiplies, the rest of the processor has nothing else to do. Asks for the memory of the panel
// after this one.
class Splitter {
 public:
  MATRIX_UNIT Splitter(uint32_t* panel, const Operand& x, int64_t rows, int64_t numbers);

  // The next rows of tiles, at most so many.
  MATRIX_UNIT void split(int64_t most);
  MATRIX_UNIT void finish() { split(2 * kTile * steps_of(numbers_)); }

 private:
  MATRIX_UNIT void start_tile();

  Operand x_;
  uint32_t* panel_;
  int64_t rows_, numbers_;
  int64_t step_ = 0, tile_ = 0, row_ = 0;
  // Of the tile that is being split: its two squares, what they hold and where it goes.
  uint32_t* words_ = nullptr;
  const float *low_ = nullptr, *high_ = nullptr;
  int64_t low_rows_ = 0, high_rows_ = 0;
  __mmask16 low_lanes_ = 0, high_lanes_ = 0;
};

}  // namespace cpu
#endif
