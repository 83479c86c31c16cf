// Starting sm90.cuh's kernel with the tile that was planned. Host side.
#pragma once
#include "../runtime/launch.h"
#include "sm90.cuh"
#include "sm90_plan.h"
#include "split_k.h"

namespace cuda::sm90 {

// Calls body(Tile{}).
template <class Body>
void with_tile(TileShape shape, Body body) {
  switch (shape) {
    case TileShape::wide128x256:
      return body(Tile128x256{});
    case TileShape::square128x128:
      return body(Tile128x128{});
    case TileShape::tall128x64:
      return body(Tile128x64{});
    case TileShape::small64x64:
      return body(Tile64x64{});
  }
}

// As many blocks as the GPU has multiprocessors, or as there are tiles.
template <class Product>
void launch_product(TileShape shape, const Product& product, const Finish& finish, Stream& stream) {
  const Output output = make_output(finish);
  const unsigned blocks =
      std::min(product.tiles, static_cast<unsigned>(gpu(stream).multiprocessors()));
  with_tile(shape, [&]<class Tile>(Tile) {
    static_assert(sizeof(Shared<Tile>) <= kSharedBytes && Tile::kStages >= 3);
    launch(product_kernel<Tile, Product>, dim3(blocks), kThreads, sizeof(Shared<Tile>), stream,
           product, output);
  });
}

// The same for a product whose sums are split: partials in scratch memory, added up in order.
template <class Product>
void launch_product(const TilePlan& plan, const Product& product, const Finish& finish,
                    Stream& stream) {
  if (plan.splits == 1) return launch_product(plan.shape, product, finish, stream);
  const size_t size = size_t(finish.m) * static_cast<size_t>(finish.n) * sizeof(float);
  auto* partials = static_cast<float*>(stream.scratch(size * static_cast<size_t>(plan.splits)));
  launch_product(plan.shape, product, partial_finish(partials, finish.m, finish.n), stream);
  reduce_splits(finish, partials, plan.splits, stream);
}

}  // namespace cuda::sm90
