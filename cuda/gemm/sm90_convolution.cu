// Convolutions with groups = 1 on Hopper, as products whose operand of pixels TMA gathers (im2col):
// nothing is unfolded in memory. Bound by the tensor cores for many channels, else by reading the
// input once per tap from the L2 cache.
#include <algorithm>

#include "sm90.h"
#include "sm90_launch.cuh"
#include "sm90_products.cuh"

namespace cuda {

namespace {

// Rows of `channels` elements that TMA can address, and an image that is not empty.
bool addressable(const void* data, int channels) { return tma_addressable(data, channels); }

bool empty(const ConvolutionShape& s) {
  return s.batch == 0 || s.out_height == 0 || s.out_width == 0 || s.filters == 0 || s.channels == 0;
}

// Where the filter's first tap looks, for each pixel of the output.
PixelGrid output_grid(const ConvolutionShape& s) {
  return {-s.pad_top, -s.pad_left, s.stride, s.out_height, s.out_width};
}

// [filters, taps, channels]
CUtensorMap weight_map(const void* weight, const ConvolutionShape& s, int channels, int filters) {
  const int taps = s.taps_h * s.taps_w;
  return tiled_map(weight, {s.channels, taps, s.filters}, {s.channels, int64_t{taps} * s.channels},
                   {channels, 1, filters});
}

// The pixels h = parity_h + stride i, w = parity_w + stride j of the input: their gradient is the
// sum over the taps r = first_r, first_r + stride, .. of dout[i + shift_h - t, ..] weight[r, ..],
// t counting the taps. Read in the order of ascending pixels, so from the last tap on.
sm90::PixelPart gradient_part(const ConvolutionShape& s, int parity_h, int parity_w) {
  const auto taps_of = [&](int first, int taps) {
    return first < taps ? ceil_div(taps - first, s.stride) : 0;
  };
  const int first_r = (parity_h + s.pad_top) % s.stride;
  const int first_s = (parity_w + s.pad_left) % s.stride;
  const int taps_h = taps_of(first_r, s.taps_h), taps_w = taps_of(first_s, s.taps_w);
  sm90::PixelPart part{};
  // Without any tap nothing is summed, and the gradient is 0.
  part.taps_h = taps_w > 0 ? taps_h : 0;
  part.taps_w = std::max(1, taps_w);
  part.first_h = first_r + s.stride * (taps_h - 1);
  part.first_w = first_s + s.stride * (taps_w - 1);
  part.parity_h = parity_h;
  part.parity_w = parity_w;
  part.grid = {(parity_h + s.pad_top) / s.stride - std::max(0, taps_h - 1),
               (parity_w + s.pad_left) / s.stride - std::max(0, taps_w - 1), 1,
               ceil_div(s.height - parity_h, s.stride), ceil_div(s.width - parity_w, s.stride)};
  part.m = s.batch * part.grid.rows * part.grid.columns;
  return part;
}

}  // namespace

bool convolution_product_sm90(void* out, const void* x, const void* weight,
                              const ConvolutionShape& s, const Epilogue& epilogue, Stream& stream) {
  const PixelGrid grid = output_grid(s);
  if (empty(s) || !addressable(x, s.channels) || !addressable(weight, s.channels) ||
      !im2col_addressable(grid, s.height, s.width))
    return false;
  const int m = s.batch * s.out_height * s.out_width;
  const int chunks = ceil_div(s.channels, 64);
  const int steps = s.taps_h * s.taps_w * chunks;
  const sm90::TilePlan plan =
      sm90::plan_tiles(m, s.filters, steps, gpu(stream).multiprocessors(), true);

  sm90::PixelProduct<false> product{};
  sm90::PixelPart& part = product.parts[0];
  part.image = im2col_map(x, s.batch, s.height, s.width, s.channels, s.channels, grid, plan.rows);
  part.grid = grid;
  part.m = m;
  part.tile_rows = ceil_div(m, plan.rows);
  part.taps_h = s.taps_h;
  part.taps_w = s.taps_w;
  product.weight = weight_map(weight, s, sm90::kDepth, plan.columns);
  product.part_count = 1;
  product.tile_columns = ceil_div(s.filters, plan.columns);
  product.chunks = chunks;
  product.tap_step = 1;
  product.weight_taps_w = s.taps_w;
  product.splits = plan.splits;
  product.steps_per_split = plan.steps_per_split;
  product.tiles = part.tile_rows * product.tile_columns * plan.splits;
  const Finish finish = make_finish(out, Dtype::bfloat16, s.filters, m, s.filters, epilogue);
  sm90::launch_product(plan, product, finish, stream);
  return true;
}

bool convolution_input_gradient_sm90(void* dx, const void* dout, const void* weight,
                                     const ConvolutionShape& s, Stream& stream) {
  if (empty(s) || s.stride > 2 || !addressable(dout, s.filters) || !addressable(weight, s.channels))
    return false;
  sm90::PixelProduct<true> product{};
  for (int parity = 0; parity < s.stride * s.stride; parity++) {
    const sm90::PixelPart part = gradient_part(s, parity / s.stride, parity % s.stride);
    if (part.m > 0) product.parts[product.part_count++] = part;
  }
  // The longest sums first, so that the last blocks to finish are short ones.
  std::stable_sort(product.parts, product.parts + product.part_count,
                   [](const sm90::PixelPart& a, const sm90::PixelPart& b) {
                     return a.taps_h * a.taps_w > b.taps_h * b.taps_w;
                   });

  const int chunks = ceil_div(s.filters, 64);
  const int m = s.batch * s.height * s.width;
  const bool whole = s.stride == 1;
  const int steps = ceil_div(s.taps_h * s.taps_w * chunks, s.stride * s.stride);
  const sm90::TilePlan plan =
      sm90::plan_tiles(m, s.channels, steps, gpu(stream).multiprocessors(), whole);
  product.tile_columns = ceil_div(s.channels, plan.columns);
  for (int i = 0; i < product.part_count; i++) {
    sm90::PixelPart& part = product.parts[i];
    if (!im2col_addressable(part.grid, s.out_height, s.out_width)) return false;
    part.image = im2col_map(dout, s.batch, s.out_height, s.out_width, s.filters, s.filters,
                            part.grid, plan.rows);
    part.first_tile = product.tiles;
    part.tile_rows = ceil_div(part.m, plan.rows);
    product.tiles += part.tile_rows * product.tile_columns * plan.splits;
  }
  product.weight = weight_map(weight, s, 64, sm90::kDepth);
  product.chunks = chunks;
  product.tap_step = -s.stride;
  product.weight_taps_w = s.taps_w;
  product.splits = plan.splits;
  product.steps_per_split = plan.steps_per_split;
  Finish finish = make_finish(dx, Dtype::bfloat16, s.channels, m, s.channels, {});
  if (!whole) {
    finish.step = s.stride;
    finish.height = s.height;
    finish.width = s.width;
  }
  sm90::launch_product(plan, product, finish, stream);
  return true;
}

bool convolution_weight_gradient_sm90(float* dweight, const void* dout, const void* x,
                                      const ConvolutionShape& s, Stream& stream) {
  const PixelGrid grid = output_grid(s);
  if (empty(s) || !addressable(x, s.channels) || !addressable(dout, s.filters) ||
      !im2col_addressable(grid, s.height, s.width))
    return false;
  const int taps = s.taps_h * s.taps_w;
  const int pixels = s.batch * s.out_height * s.out_width;
  const int steps = ceil_div(pixels, sm90::kDepth);
  sm90::WeightGradient product{};
  product.channels = s.channels;
  product.chunks_per_tap = ceil_div(s.channels, 64);
  product.chunks = taps * product.chunks_per_tap;
  product.taps_w = s.taps_w;
  const sm90::TilePlan plan =
      sm90::plan_tiles(s.filters, product.chunks * 64, steps, gpu(stream).multiprocessors(), true);
  product.dout = tiled_map(dout, {s.filters, pixels}, {s.filters}, {64, sm90::kDepth});
  product.image =
      im2col_map(x, s.batch, s.height, s.width, s.channels, s.channels, grid, sm90::kDepth);
  product.grid = grid;
  product.splits = {ceil_div(s.filters, plan.rows), ceil_div(product.chunks * 64, plan.columns),
                    steps, plan.steps_per_split};
  product.step_n = sm90::kDepth / (s.out_height * s.out_width);
  product.step_h = sm90::kDepth / s.out_width % s.out_height;
  product.step_w = sm90::kDepth % s.out_width;
  product.tiles = product.splits.tile_rows * product.splits.tile_columns * plan.splits;
  const int columns = taps * s.channels;
  const Finish finish =
      make_finish(dweight, Dtype::float32, columns, s.filters, columns, Epilogue{});
  sm90::launch_product(plan, product, finish, stream);
  return true;
}

}  // namespace cuda
