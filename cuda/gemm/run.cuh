// From a problem to launches: plan, split, kernel, reduction. Each .cu of this folder that includes
// it compiles the kernels for a few kinds of operands.
#pragma once
#include "float32.cuh"
#include "plan.h"
#include "sm80.cuh"
#include "split_k.h"

namespace cuda {

// Pieces of so many elements of both operands begin and end on borders of their own size in bytes
// (16, for bf16 also 8); else one.
enum class Granule : int { one = 1, four = 4, eight = 8 };

// For operands whose contiguous axes have these sizes and, from row to row, these strides.
template <class T, class... Sizes>
Granule granule_of(const void* a, const void* b, Sizes... sizes) {
  const auto fits = [&](int elements) {
    const auto on_border = [&](const void* p) {
      return reinterpret_cast<uintptr_t>(p) % (elements * sizeof(T)) == 0;
    };
    return on_border(a) && on_border(b) && ((sizes % elements == 0) && ...);
  };
  if (sizeof(T) == 2 && fits(8)) return Granule::eight;
  return fits(4) ? Granule::four : Granule::one;
}

constexpr unsigned tiles_of(Granule granule) {
  return granule == Granule::eight  ? kAllTiles
         : granule == Granule::four ? kTallOrSmallTile
                                    : kSmallTile;
}

template <int kGranule, class Problem>
void launch_tile(TileKind tile, const Problem& problem, const Finish& f, int rows, int parts,
                 Stream& stream) {
  if constexpr (kGranule == 8) {
    if (tile == TileKind::large)
      return launch_sm80<LargeTile, kGranule>(problem, f, rows, parts, stream);
    if (tile == TileKind::flat)
      return launch_sm80<FlatTile, kGranule>(problem, f, rows, parts, stream);
  }
  if constexpr (kGranule > 1) {
    if (tile == TileKind::tall)
      return launch_sm80<TallTile, kGranule>(problem, f, rows, parts, stream);
  }
  launch_sm80<SmallTile, kGranule>(problem, f, rows, parts, stream);
}

// rows: of the largest part; parts: size of the grid's third axis.
template <class Problem>
void launch_parts(TileKind tile, Granule granule, const Problem& problem, const Finish& f, int rows,
                  int parts, Stream& stream) {
  if constexpr (sizeof(typename Problem::A::Element) == 4) {
    if (granule == Granule::one)
      launch_float32<1>(problem, f, rows, parts, stream);
    else
      launch_float32<4>(problem, f, rows, parts, stream);
  } else {
    if (granule == Granule::eight)
      launch_tile<8>(tile, problem, f, rows, parts, stream);
    else if (granule == Granule::four)
      launch_tile<4>(tile, problem, f, rows, parts, stream);
    else
      launch_tile<1>(tile, problem, f, rows, parts, stream);
  }
}

// A product of one output, with its inner axis split where that is faster. depth: its size.
template <class Problem>
void run_product(Problem problem, int depth, const Finish& f, Granule granule, Stream& stream) {
  constexpr bool float32 = sizeof(typename Problem::A::Element) == 4;
  const bool statistics = f.with.statistics != nullptr;
  PlanQuery query{f.m, f.n, depth, gpu(stream).multiprocessors()};
  query.tiles = float32 ? kSmallTile : tiles_of(granule);
  query.statistics = statistics;
  if (float32) query.cycles_per_fma = kFloat32CyclesPerFma;
  const Plan plan = plan_product(query);
  problem.depth_per_split = plan.depth_per_split;
  // Only the reduction takes statistics of float32 products.
  if (plan.splits == 1 && !(float32 && statistics))
    return launch_parts(plan.tile, granule, problem, f, f.m, 1, stream);
  auto* partials = static_cast<float*>(
      stream.scratch(size_t(plan.splits) * size_t(f.m) * size_t(f.n) * sizeof(float)));
  launch_parts(plan.tile, granule, problem, partial_finish(partials, f.m, f.n), f.m, plan.splits,
               stream);
  reduce_splits(f, partials, plan.splits, stream);
}

}  // namespace cuda
