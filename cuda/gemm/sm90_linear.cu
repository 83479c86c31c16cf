// Products of matrices on Hopper: linear layers and their gradients, whichever way their operands
// lie. Bound by the tensor cores for large products (2 M N K operations), small ones by reading the
// operands once.
#include "sm90.h"
#include "sm90_launch.cuh"
#include "sm90_products.cuh"

namespace cuda {

namespace {

// Boxes of one step: of all `rows` of the tile if K is innermost, else 64 x 64.
CUtensorMap operand_map(const Operand& operand, int size, int k, int rows) {
  if (operand.k_major)
    return tiled_map(operand.data, {k, size}, {operand.stride}, {sm90::kDepth, rows});
  return tiled_map(operand.data, {size, k}, {operand.stride}, {64, sm90::kDepth});
}

template <bool a_k_major, bool b_k_major>
void launch_matrices(const Finish& finish, int k, const Operand& a, const Operand& b,
                     Stream& stream) {
  const int steps = ceil_div(k, sm90::kDepth);
  const sm90::TilePlan plan =
      sm90::plan_tiles(finish.m, finish.n, steps, gpu(stream).multiprocessors(), true);
  sm90::MatrixProduct<a_k_major, b_k_major> product;
  product.a = operand_map(a, finish.m, k, plan.rows);
  product.b = operand_map(b, finish.n, k, plan.columns);
  product.splits = {ceil_div(finish.m, plan.rows), ceil_div(finish.n, plan.columns), steps,
                    plan.steps_per_split};
  product.tiles = product.splits.tile_rows * product.splits.tile_columns * plan.splits;
  sm90::launch_product(plan, product, finish, stream);
}

}  // namespace

bool gemm_sm90(void* out, Dtype out_dtype, int64_t out_stride, int m, int n, int k,
               const Operand& a, const Operand& b, const Epilogue& epilogue, Stream& stream) {
  if (m == 0 || n == 0 || k == 0 || !tma_addressable(a.data, a.stride) ||
      !tma_addressable(b.data, b.stride))
    return false;
  const Finish finish = make_finish(out, out_dtype, out_stride, m, n, epilogue);
  if (a.k_major && b.k_major) {
    launch_matrices<true, true>(finish, k, a, b, stream);
  } else if (a.k_major) {
    launch_matrices<true, false>(finish, k, a, b, stream);
  } else if (!b.k_major) {
    launch_matrices<false, false>(finish, k, a, b, stream);
  } else {
    return false;  // nobody multiplies such operands
  }
  return true;
}

}  // namespace cuda
