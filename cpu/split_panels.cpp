// See split_panels.h. A number's first piece is cut off, so that it never overflows; the second is
// rounded, so that what is left out of a product is as often above as below. What remains is the
// third, exactly. Bound by reading and writing the caches.
#include "split_panels.h"

#ifdef CAPTIONEER_MATRIX_UNIT

namespace cpu {
namespace {

typedef uint32_t Words __attribute__((vector_size(64), may_alias));

// bfloat16, as floats: the nearest towards zero, and the nearest.
MATRIX_UNIT inline Floats cut(Floats x) { return (Floats)((Words)x & 0xffff0000); }
MATRIX_UNIT inline Floats nearest(Floats x) { return (Floats)(((Words)x + 0x8000) & 0xffff0000); }

MATRIX_UNIT inline void store_pairs(uint32_t* out, Floats low, Floats high) {
  *reinterpret_cast<Words*>(out) = ((Words)low >> 16) | ((Words)high & 0xffff0000);
}

// A row of words in each of a tile's pieces.
MATRIX_UNIT inline void split_row(uint32_t* out, Floats low, Floats high) {
  const Floats low1 = cut(low), high1 = cut(high);
  store_pairs(out, low1, high1);
  low -= low1;
  high -= high1;
  const Floats low2 = nearest(low), high2 = nearest(high);
  store_pairs(out + kPieceWords, low2, high2);
  store_pairs(out + 2 * kPieceWords, low - low2, high - high2);
}

// Of each four floats of two vectors those at w, x, y and z, the second's from 16 on.
#define OF_FOUR(a, b, w, x, y, z)                                                            \
  __builtin_shufflevector(a, b, w, x, y, z, w + 4, x + 4, y + 4, z + 4, w + 8, x + 8, y + 8, \
                          z + 8, w + 12, x + 12, y + 12, z + 12)
// Every other four floats of two vectors, from the one at x on.
#define EVERY_OTHER(a, b, x)                                                                  \
  __builtin_shufflevector(a, b, x, x + 1, x + 2, x + 3, x + 8, x + 9, x + 10, x + 11, x + 16, \
                          x + 17, x + 18, x + 19, x + 24, x + 25, x + 26, x + 27)

}  // namespace

MATRIX_UNIT void load_square(Floats* square, const float* x, int64_t stride, int64_t rows,
                             int64_t columns) {
  const __mmask16 lanes = first_lanes(columns);
  for (int i = 0; i < kTile; i++) square[i] = i < rows ? load(lanes, x + i * stride) : Floats{};
}

// By single floats, by pairs, by fours.
MATRIX_UNIT void transpose_square(Floats* v) {
  Floats t[kTile];
  for (int i = 0; i < kTile; i += 2) {
    t[i] = OF_FOUR(v[i], v[i + 1], 0, 16, 1, 17);
    t[i + 1] = OF_FOUR(v[i], v[i + 1], 2, 18, 3, 19);
  }
  for (int i = 0; i < kTile; i += 4)
    for (int j = 0; j < 2; j++) {
      v[i + 2 * j] = OF_FOUR(t[i + j], t[i + j + 2], 0, 1, 16, 17);
      v[i + 2 * j + 1] = OF_FOUR(t[i + j], t[i + j + 2], 2, 3, 18, 19);
    }
  for (int i = 0; i < kTile; i += 8)
    for (int j = 0; j < 4; j++) {
      t[i + j] = EVERY_OTHER(v[i + j], v[i + j + 4], 0);
      t[i + j + 4] = EVERY_OTHER(v[i + j], v[i + j + 4], 4);
    }
  for (int j = 0; j < 8; j++) {
    v[j] = EVERY_OTHER(t[j], t[j + 8], 0);
    v[j + 8] = EVERY_OTHER(t[j], t[j + 8], 4);
  }
}

MATRIX_UNIT void split_panel(uint32_t* panel, const Operand& x, int64_t rows, int64_t numbers,
                             bool along) {
  if (x.along == along) return Splitter(panel, x, rows, numbers).finish();
  for (int64_t tile = 0; tile < tiles_of(rows); tile++)
    for (int64_t step = 0; step < steps_of(numbers); step++) {
      Floats squares[2][kTile];
      for (int half = 0; half < 2; half++) {
        const int64_t row = tile * kTile, number = step * kStep + half * kTile;
        load_square(squares[half], from(x, row, number).data, x.stride,
                    x.along ? rows - row : numbers - number,
                    x.along ? numbers - number : rows - row);
        transpose_square(squares[half]);
      }
      uint32_t* out = panel + (step * 2 + tile) * kTileWords;
      for (int i = 0; i < kTile; i++) split_row(out + i * kTile, squares[0][i], squares[1][i]);
    }
}

MATRIX_UNIT Splitter::Splitter(uint32_t* panel, const Operand& x, int64_t rows, int64_t numbers)
    : x_(x), panel_(panel), rows_(rows), numbers_(numbers) {
  start_tile();
}

MATRIX_UNIT void Splitter::start_tile() {
  const int64_t row = tile_ * kTile, number = step_ * kStep;
  words_ = panel_ + (step_ * 2 + tile_) * kTileWords;
  low_ = from(x_, row, number).data;
  high_ = from(x_, row, number + kTile).data;
  low_rows_ = x_.along ? rows_ - row : numbers_ - number;
  high_rows_ = x_.along ? rows_ - row : numbers_ - number - kTile;
  low_lanes_ = first_lanes(x_.along ? numbers_ - number : rows_ - row);
  high_lanes_ = first_lanes(x_.along ? numbers_ - number - kTile : rows_ - row);
}

MATRIX_UNIT void Splitter::split(int64_t most) {
  const int64_t next_panel = x_.along ? kPanel * x_.stride : kPanel;
  for (; most > 0 && tile_ < tiles_of(rows_); most--) {
    split_row(words_, load(row_ < low_rows_ ? low_lanes_ : 0, low_),
              load(row_ < high_rows_ ? high_lanes_ : 0, high_));
    __builtin_prefetch(low_ + next_panel, 0, 2);
    __builtin_prefetch(high_ + next_panel, 0, 2);
    words_ += kTile;
    low_ += x_.stride;
    high_ += x_.stride;
    if (++row_ < kTile) continue;
    row_ = 0;
    if (++step_ == steps_of(numbers_)) step_ = 0, tile_++;
    start_tile();
  }
}

}  // namespace cpu
#endif
