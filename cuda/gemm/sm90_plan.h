// Which tile of sm90.cuh a product gets and into how many parts its sums are split: the fewest
// estimated cycles. Host side; the figures are an H100's, round.
#pragma once
#include <algorithm>
#include <cstdint>

namespace cuda::sm90 {

enum class TileShape { wide128x256, square128x128, tall128x64, small64x64 };

struct TilePlan {
  TileShape shape;
  int rows, columns;
  int splits, steps_per_split;
};

// Output tiles are m x n; `steps` of 64 along K. may_split: split sums cost a pass over float32
// partials.
inline TilePlan plan_tiles(int64_t m, int64_t n, int64_t steps, int multiprocessors,
                           bool may_split) {
  struct Candidate {
    TileShape shape;
    int rows, columns;
    bool cooperative;
  };
  constexpr Candidate candidates[] = {{TileShape::wide128x256, 128, 256, true},
                                      {TileShape::square128x128, 128, 128, false},
                                      {TileShape::tall128x64, 128, 64, false},
                                      {TileShape::small64x64, 64, 64, false}};
  constexpr double fill = 1500;           // launch of a tile until the first product
  constexpr double l2_bytes = 48;         // per cycle and multiprocessor
  constexpr double multiply_adds = 2048;  // likewise
  constexpr double stored_bytes = 16;     // likewise, of an epilogue
  constexpr double memory_bytes = 1500;   // per cycle, all of them
  constexpr double reduction = 5000;      // launch of the kernel that adds up partials

  TilePlan best{};
  double best_cycles = 0;
  for (const Candidate& c : candidates) {
    const int64_t tiles = ((m + c.rows - 1) / c.rows) * ((n + c.columns - 1) / c.columns);
    for (int wanted = 1; wanted <= (may_split ? 64 : 1); wanted += wanted < 8 ? 1 : wanted / 4) {
      const int64_t per_split = (steps + wanted - 1) / wanted;
      // A few steps are not worth a pass over partials.
      if (wanted > 1 && per_split < 6) break;
      const int64_t splits = wanted == 1 ? 1 : (steps + per_split - 1) / per_split;
      const double part_steps = double(per_split);
      const int64_t rounds = (tiles * splits + multiprocessors - 1) / multiprocessors;
      const double area = double(c.rows) * c.columns;
      const double step =
          std::max(area * 64 / multiply_adds, (c.rows + c.columns) * 128 / l2_bytes);
      const double store = area * (splits > 1 ? 4 : 2) / stored_bytes;
      const double busy = part_steps * step;
      double cycles = fill + store;
      if (c.cooperative) {
        cycles += double(rounds) * busy + double(rounds - 1) * store;
      } else {
        cycles +=
            std::max(double(rounds) * busy, double((rounds + 1) / 2) * (busy + store) - store);
      }
      if (splits > 1)
        cycles += reduction + double(m) * double(n) * double(4 * splits + 2) / memory_bytes;
      if (best_cycles == 0 || cycles < best_cycles) {
        best_cycles = cycles;
        best = {c.shape, c.rows, c.columns, int(splits), int(per_split)};
      }
    }
  }
  return best;
}

}  // namespace cuda::sm90
