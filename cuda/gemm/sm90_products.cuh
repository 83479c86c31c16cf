// What the pipeline of sm90.cuh multiplies: matrices as they lie, and convolutions, whose operand
// of pixels TMA gathers in its im2col mode. Each says how its tiles are numbered, how a step of
// both operands is loaded and where sums go.
#pragma once
#include "../runtime/tensor_map.h"
#include "sm90.cuh"

namespace cuda::sm90 {

// Sums of `steps` steps, shared out among `splits`.
struct Splits {
  int tile_rows, tile_columns;
  int steps, per_split;

  DEVICE Work work(int tile) const {
    Work work;
    const int tiles = tile_rows * tile_columns;
    work.part = tile / tiles;
    place(work, tile % tiles, tile_rows, tile_columns);
    work.first_step = work.part * per_split;
    work.steps = min(per_split, steps - work.first_step);
    return work;
  }
  DEVICE static Finish view(const Finish& whole, const Work& work) {
    Finish f = whole;
    f.out = static_cast<char*>(f.out) + work.part * f.by_split * (f.float32 ? 4 : 2);
    return f;
  }
};

#ifdef CAPTIONEER_HOPPER
// One step of `rows` rows of an operand that begins at `row`, K at k.
template <bool k_major, int rows>
DEVICE void load_matrix(bf16* to, const ptx::TensorMap& map, uint64_t* full, int row, int k) {
  if constexpr (k_major) {
    ptx::tma_load_2d(to, map, full, k, row);
  } else {
#pragma unroll
    for (int box = 0; box < rows / 64; box++)
      ptx::tma_load_2d(to + box * kBoxElements, map, full, row + 64 * box, k);
  }
}
#endif

template <bool a_k_major, bool b_k_major>
struct MatrixProduct {
  static constexpr bool kAMajor = a_k_major, kBMajor = b_k_major;
  ptx::TensorMap a, b;
  Splits splits;
  unsigned tiles;

  struct Cursor {
    int row, column, k;
  };

  DEVICE Work work(int tile) const { return splits.work(tile); }
  DEVICE Finish view(const Finish& whole, const Work& work) const {
    return splits.view(whole, work);
  }
  DEVICE int place_columns(Finish&, int column) const { return column; }
#ifdef CAPTIONEER_HOPPER
  template <class Tile>
  DEVICE Cursor start(const Work& work) const {
    return {work.row * Tile::kRows, work.column * Tile::kColumns, work.first_step * kDepth};
  }
  template <class Tile>
  DEVICE void load(bf16* to_a, bf16* to_b, uint64_t* full, Cursor& at) const {
    load_matrix<a_k_major, Tile::kRows>(to_a, a, full, at.row, at.k);
    load_matrix<b_k_major, Tile::kColumns>(to_b, b, full, at.column, at.k);
    at.k += kDepth;
  }
#endif
};

// Pixels x filters: a convolution's output (rows: its pixels; b: the weight, K-major), or the
// gradient of its input (rows: pixels of the input; a: dout; b: the weight, taps flipped). With
// stride 2 the input's pixels fall into four parts, by the parity of row and column, that see
// different taps and are a product each.
struct PixelPart {
  ptx::TensorMap image;
  PixelGrid grid;
  int m;
  int first_tile, tile_rows;
  int taps_h, taps_w;
  int first_h, first_w;    // the weight's tap at the part's first
  int parity_h, parity_w;  // of its pixels, when there are several parts
};

template <bool gradient>
struct PixelProduct {
  static constexpr bool kAMajor = true, kBMajor = !gradient;
  PixelPart parts[4];
  ptx::TensorMap weight;  // [filters, taps, channels]
  int part_count;
  int tile_columns;
  int chunks;  // of 64 channels of the image
  int tap_step, weight_taps_w;
  int splits, steps_per_split;  // of an only part
  unsigned tiles;

  struct Cursor {
    const PixelPart* part;
    int n, h, w;  // where the box of pixels begins
    int column;
    int chunk, tap_h, tap_w;
  };

  DEVICE Work work(int tile) const {
    Work work;
    int part = 0;
    while (part + 1 < part_count && tile >= parts[part + 1].first_tile) part++;
    const PixelPart& p = parts[part];
    const int steps = p.taps_h * p.taps_w * chunks;
    const int tiles_of_part = p.tile_rows * tile_columns;
    const int index = tile - p.first_tile;
    const int split = index / tiles_of_part;
    place(work, index % tiles_of_part, p.tile_rows, tile_columns);
    work.part = part + split;
    work.first_step = split * steps_per_split;
    work.steps = splits == 1 ? steps : min(steps_per_split, steps - work.first_step);
    return work;
  }
  DEVICE Finish view(const Finish& whole, const Work& work) const {
    Finish f = Splits::view(whole, work);
    if (part_count > 1) {
      const PixelPart& p = parts[work.part];
      f.m = p.m;
      f.rows_h = p.grid.rows;
      f.rows_w = p.grid.columns;
      f.first_h = p.parity_h;
      f.first_w = p.parity_w;
    }
    return f;
  }
  DEVICE int place_columns(Finish&, int column) const { return column; }

#ifdef CAPTIONEER_HOPPER
  template <class Tile>
  DEVICE Cursor start(const Work& work) const {
    const PixelPart& part = parts[part_count > 1 ? work.part : 0];
    const PixelGrid& grid = part.grid;
    const int pixel = work.row * Tile::kRows;
    const int tap = work.first_step / chunks;
    return {.part = &part,
            .n = pixel / grid.columns / grid.rows,
            .h = pixel / grid.columns % grid.rows * grid.stride + grid.top,
            .w = pixel % grid.columns * grid.stride + grid.left,
            .column = work.column * Tile::kColumns,
            .chunk = work.first_step % chunks,
            .tap_h = tap / part.taps_w,
            .tap_w = tap % part.taps_w};
  }
  template <class Tile>
  DEVICE void load(bf16* to_a, bf16* to_b, uint64_t* full, Cursor& at) const {
    const int channel = at.chunk * 64;
    ptx::tma_load_im2col_4d(to_a, at.part->image, full, channel, at.w, at.h, at.n,
                            static_cast<uint16_t>(at.tap_w), static_cast<uint16_t>(at.tap_h));
    const int tap = (at.part->first_h + at.tap_h * tap_step) * weight_taps_w + at.part->first_w +
                    at.tap_w * tap_step;
    if constexpr (gradient) {
#pragma unroll
      for (int box = 0; box < Tile::kColumns / 64; box++)
        ptx::tma_load_3d(to_b + box * kBoxElements, weight, full, at.column + 64 * box, tap,
                         channel);
    } else {
      ptx::tma_load_3d(to_b, weight, full, channel, tap, at.column);
    }
    if (++at.chunk == chunks) {
      at.chunk = 0;
      if (++at.tap_w == at.part->taps_w) {
        at.tap_w = 0;
        at.tap_h++;
      }
    }
  }
#endif
};

// The gradient of a convolution's weight: filters x (taps, channels), K = the output's pixels.
// Columns are numbered in chunks of 64 channels of one tap, so a tap's last chunk may be partly
// empty.
struct WeightGradient {
  static constexpr bool kAMajor = false, kBMajor = false;
  ptx::TensorMap dout, image;
  PixelGrid grid;
  Splits splits;
  int channels, chunks_per_tap, chunks, taps_w;
  int step_h, step_w, step_n;  // 64 pixels as images, rows and columns
  unsigned tiles;

  template <int boxes>
  struct Cursor {
    int row;
    int pixel, n, h, w;  // the first of the step; h and w count positions
    int channel[boxes];
    uint16_t tap_h[boxes], tap_w[boxes];
  };

  DEVICE Work work(int tile) const { return splits.work(tile); }
  DEVICE Finish view(const Finish& whole, const Work& work) const {
    return splits.view(whole, work);
  }
  // Chunks beyond the last are loaded like the last and not stored.
  DEVICE int place_columns(Finish& f, int column) const {
    const int chunk = column / 64;
    const int tap = chunk / chunks_per_tap;
    f.n = chunk < chunks ? (tap + 1) * channels : 0;
    return tap * channels + chunk % chunks_per_tap * 64;
  }

#ifdef CAPTIONEER_HOPPER
  template <class Tile>
  DEVICE Cursor<Tile::kColumns / 64> start(const Work& work) const {
    Cursor<Tile::kColumns / 64> at;
    at.row = work.row * Tile::kRows;
    at.pixel = work.first_step * kDepth;
    at.w = at.pixel % grid.columns;
    at.h = at.pixel / grid.columns % grid.rows;
    at.n = at.pixel / grid.columns / grid.rows;
#pragma unroll
    for (int box = 0; box < Tile::kColumns / 64; box++) {
      const int chunk = min(work.column * (Tile::kColumns / 64) + box, chunks - 1);
      const int tap = chunk / chunks_per_tap;
      at.channel[box] = chunk % chunks_per_tap * 64;
      at.tap_h[box] = static_cast<uint16_t>(tap / taps_w);
      at.tap_w[box] = static_cast<uint16_t>(tap % taps_w);
    }
    return at;
  }
  template <class Tile, class At>
  DEVICE void load(bf16* to_a, bf16* to_b, uint64_t* full, At& at) const {
    load_matrix<false, Tile::kRows>(to_a, dout, full, at.row, at.pixel);
#pragma unroll
    for (int box = 0; box < Tile::kColumns / 64; box++)
      ptx::tma_load_im2col_4d(to_b + box * kBoxElements, image, full, at.channel[box],
                              at.w * grid.stride + grid.left, at.h * grid.stride + grid.top, at.n,
                              at.tap_w[box], at.tap_h[box]);
    at.pixel += kDepth;
    at.w += step_w;
    at.h += step_h;
    at.n += step_n;
    if (at.w >= grid.columns) {
      at.w -= grid.columns;
      at.h++;
    }
    if (at.h >= grid.rows) {
      at.h -= grid.rows;
      at.n++;
    }
  }
#endif
};

}  // namespace cuda::sm90
