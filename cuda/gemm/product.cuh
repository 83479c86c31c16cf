// What a product kernel is given: two loaders, the inner size and how it is split among blocks.
#pragma once
#include "epilogue.cuh"
#include "loaders.cuh"

namespace cuda {

// What the blocks of one blockIdx.z do: k = begin .. end - 1.
template <class A, class B>
struct Part {
  A a;
  B b;
  int begin, end;
};

template <class A_, class B_>
struct Product {
  using A = A_;
  using B = B_;
  A a;
  B b;
  int depth, depth_per_split;

  // Also sends the output to where this part's goes.
  DEVICE Part<A, B> part(Finish& f, int z) const {
    if (f.by_split != 0) f.out = static_cast<float*>(f.out) + z * f.by_split;
    return {a, b, z * depth_per_split, min(depth, (z + 1) * depth_per_split)};
  }
};

// The tile of a block, from a one-dimensional grid: groups of 8 rows of tiles, so that blocks that
// run at the same time share operands in the L2 cache. False: this part is smaller than others, and
// has no such tile.
DEVICE bool place_tile(int& row, int& column, int block, int rows, int columns) {
  constexpr int kGroup = 8;
  if (block >= rows * columns) return false;
  const int group = block / (kGroup * columns);
  const int height = min(kGroup, rows - group * kGroup);
  const int within = block - group * kGroup * columns;
  row = group * kGroup + within % height;
  column = within / height;
  return true;
}

}  // namespace cuda
