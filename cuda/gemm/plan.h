// Which tile a product gets and among how many blocks its inner axis is split: an estimate of the
// clock cycles of each choice. Figures are of the A100 (108 multiprocessors, 1024 bf16
// multiply-adds a cycle each); only their proportions matter.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../device/device.cuh"

namespace cuda {

// 128 x 128, 128 x 64, 64 x 64, 32 x 64; as bits of a set.
enum class TileKind : unsigned { large = 1, tall = 2, small = 4, flat = 8 };
constexpr unsigned kAllTiles = 15;
constexpr unsigned kSmallTile = static_cast<unsigned>(TileKind::small);
constexpr unsigned kTallOrSmallTile = static_cast<unsigned>(TileKind::tall) | kSmallTile;

struct Plan {
  TileKind tile = TileKind::small;
  int splits = 1;
  int depth_per_split = 0;  // a multiple of kDepthStep
};

constexpr int kDepthStep = 32;

struct PlanQuery {
  int m, n, k;
  int multiprocessors;
  bool statistics = false;  // needs tiles of at least 64 rows
  bool may_split = true;
  unsigned tiles = kAllTiles;             // those there are kernels of
  float cycles_per_fma = 1.0f / 1024.0f;  // of a multiprocessor
};

struct TileFigures {
  TileKind kind;
  int m, n;
  float efficiency;  // of the multiply-adds, when blocks fill the machine
};
constexpr TileFigures kTiles[] = {{TileKind::large, 128, 128, 0.80f},
                                  {TileKind::tall, 128, 64, 0.68f},
                                  {TileKind::small, 64, 64, 0.55f},
                                  {TileKind::flat, 32, 64, 0.35f}};

// Blocks begin and end (pipeline fill, epilogue, launch) at the price of this many depth steps.
constexpr int kFixedSteps = 10;
// A block alone on its multiprocessor waits for memory and barriers at least this long each step,
// and its few warps leave the tensor cores idle at times.
constexpr float kLeastStepCycles = 150.0f;
constexpr float kAloneFactor = 1.4f;
constexpr float kFloat32CyclesPerFma = 1.0f / 64.0f;
// The second kernel of a split product, and its bytes from and to the L2 cache a cycle.
constexpr float kReductionCycles = 4000.0f;
constexpr float kReductionBytesPerCycle = 2000.0f;

inline Plan plan_product(const PlanQuery& q) {
  Plan best;
  float best_cycles = 0.0f;
  const int steps = std::max(1, ceil_div(q.k, kDepthStep));
  for (const TileFigures& tile : kTiles) {
    if (!(q.tiles & static_cast<unsigned>(tile.kind))) continue;
    if (q.statistics && tile.m < 64) continue;
    const int64_t tiles = int64_t{ceil_div(q.m, tile.m)} * ceil_div(q.n, tile.n);
    const float step_cycles =
        std::max(kLeastStepCycles, static_cast<float>(tile.m * tile.n * kDepthStep) *
                                       q.cycles_per_fma / tile.efficiency);
    for (int splits = 1; splits <= (q.may_split ? 128 : 1); splits += splits < 8 ? 1 : splits / 4) {
      // Fewer than four steps are not worth a block.
      const int split_steps = ceil_div(steps, splits);
      if (splits > 1 && split_steps < 4) break;
      const int parts = ceil_div(steps, split_steps);
      const int64_t waves = ceil_div<int64_t>(tiles * parts, q.multiprocessors);
      float cycles =
          static_cast<float>(waves) * step_cycles * static_cast<float>(split_steps + kFixedSteps);
      if (waves == 1) cycles *= kAloneFactor;
      if (parts > 1)
        cycles += kReductionCycles + 8.0f * static_cast<float>(parts) * static_cast<float>(q.m) *
                                         static_cast<float>(q.n) / kReductionBytesPerCycle;
      if (best_cycles == 0.0f || cycles < best_cycles) {
        best_cycles = cycles;
        best = {tile.kind, parts, split_steps * kDepthStep};
      }
    }
  }
  return best;
}

}  // namespace cuda
