// See winograd.h. Tiles of 6 x 6 pixels, four apart, become 36 products [tiles, C] x [C, O], one
// for each place of a transformed tile; their results become 4 x 4 pixels each. Bound by the
// products.
#include "winograd.h"

#include <algorithm>

#include "activation.h"
#include "constant_weight.h"
#include "simd.h"
#include "small_product.h"

namespace cpu {
namespace {

constexpr int kOut = 4, kIn = 6, kPlaces = kIn * kIn;
// Channels are transformed in vectors of so many.
constexpr int kLane = 16;
// Transformed tiles at a time, so that they stay in the cache.
constexpr int64_t kChunkBytes = 4 << 20;
constexpr int64_t kLeastChunk = 64;
// Of a weight's matrices, which lie in strips of so many: a product reads each strip from start to
// end.
constexpr int kColumns = 32;
// Of one image: the weight has four times its size, and results must not depend on how many images
// lie in a batch.
constexpr int64_t kFewestTiles = 16;

using Lane = float[kLane];

// Columns of Bᵀ d: `step` apart in both.
SIMD_INLINE void transform_in(Lane* to, const Lane* d, int step) {
  for (int c = 0; c < kLane; c++) {
    const float a0 = d[0][c], a1 = d[step][c], a2 = d[2 * step][c];
    const float a3 = d[3 * step][c], a4 = d[4 * step][c], a5 = d[5 * step][c];
    const float even = a4 - 4 * a2, odd = a3 - 4 * a1;
    const float even2 = a4 - a2, odd2 = 2 * (a3 - a1);
    to[0][c] = 4 * a0 - 5 * a2 + a4;
    to[step][c] = even + odd;
    to[2 * step][c] = even - odd;
    to[3 * step][c] = even2 + odd2;
    to[4 * step][c] = even2 - odd2;
    to[5 * step][c] = 4 * a1 - 5 * a3 + a5;
  }
}

// Columns of Aᵀ m: `step` apart in both.
SIMD_INLINE void transform_out(Lane* to, const Lane* m, int step) {
  for (int c = 0; c < kLane; c++) {
    const float m0 = m[0][c], m1 = m[step][c], m2 = m[2 * step][c];
    const float m3 = m[3 * step][c], m4 = m[4 * step][c], m5 = m[5 * step][c];
    const float sum = m1 + m2, difference = m1 - m2;
    const float sum2 = m3 + m4, difference2 = m3 - m4;
    to[0][c] = m0 + sum + sum2;
    to[step][c] = difference + 2 * difference2;
    to[2 * step][c] = sum + 4 * sum2;
    to[3 * step][c] = difference + 8 * difference2 + m5;
  }
}

// A tile into the 36 matrices, which are `step` apart. Null pixels are padding.
SIMD void tile_in(float* to, int64_t step, const float* const* pixels, int channels) {
  alignas(64) Lane d[kPlaces], rows[kPlaces], v[kPlaces];
  for (int c0 = 0; c0 < channels; c0 += kLane, to += kLane) {
    for (int p = 0; p < kPlaces; p++)
      for (int c = 0; c < kLane; c++) d[p][c] = pixels[p] ? pixels[p][c0 + c] : 0.0f;
    for (int j = 0; j < kIn; j++) transform_in(rows + j, d + j, kIn);
    for (int i = 0; i < kIn; i++) transform_in(v + i * kIn, rows + i * kIn, 1);
    for (int p = 0; p < kPlaces; p++)
      for (int c = 0; c < kLane; c++) to[p * step + c] = v[p][c];
  }
}

// From the 36 results of a tile to its pixels; null ones lie outside of the image. The residual's
// pixels lie as those of out.
template <int kind>
SIMD void tile_out(float* const* pixels, const float* from, int64_t step, int channels,
                   const float* bias, const float* out, const float* residual) {
  alignas(64) Lane m[kPlaces], rows[kPlaces], y[kPlaces];
  for (int c0 = 0; c0 < channels; c0 += kLane, from += kLane) {
    for (int p = 0; p < kPlaces; p++)
      for (int c = 0; c < kLane; c++) m[p][c] = from[p * step + c];
    for (int j = 0; j < kIn; j++) transform_out(rows + j, m + j, kIn);
    for (int i = 0; i < kOut; i++) transform_out(y + i * kIn, rows + i * kIn, 1);
    for (int i = 0; i < kOut; i++)
      for (int j = 0; j < kOut; j++) {
        float* to = pixels[i * kOut + j];
        if (!to) continue;
        Lane& sum = y[i * kIn + j];
        if (bias)
          for (int c = 0; c < kLane; c++) sum[c] += bias[c0 + c];
        if (residual)
          for (int c = 0; c < kLane; c++) sum[c] += residual[to - out + c0 + c];
        for (int c = 0; c < kLane; c++) to[c0 + c] = activate<kind>(sum[c]);
      }
  }
}

struct Tiles {
  WinogradSizes s;
  int across = (s.W + kOut - 1) / kOut, down = (s.H + kOut - 1) / kOut;
  int64_t count = int64_t{s.B} * down * across;

  // Calls use(place in an image of that many channels, or -1 outside of it, i) for size x size
  // pixels of a tile, the first `before` pixels above and left of it.
  template <class Use>
  void each_pixel(int64_t tile, int size, int before, int channels, Use use) const {
    const int64_t image = tile / (down * across);
    const int top = static_cast<int>(tile / across % down) * kOut - before;
    const int left = static_cast<int>(tile % across) * kOut - before;
    for (int i = 0; i < size * size; i++) {
      const int row = top + i / size, column = left + i % size;
      const bool inside = row >= 0 && row < s.H && column >= 0 && column < s.W;
      use(inside ? ((image * s.H + row) * s.W + column) * channels : -1, i);
    }
  }
};

// c [rows, O] = a [rows, C] b, the strips of a [C, O]. An element comes out the same for any number
// of rows.
void multiply_place(float* c, const float* a, const float* b, int rows, const WinogradSizes& s) {
  for (int column = 0; column < s.O; column += kColumns) {
    const int width = std::min(kColumns, s.O - column);
    multiply_small(
        {c + column, s.O, a, s.C, 1, b + int64_t{column} * s.C, width, rows, width, s.C});
  }
}

// G g Gᵀ of each filter: 36 matrices [C, O] in strips.
void transform_weight(float* to, const float* weight, const WinogradSizes& s) {
  constexpr float kG[kIn][3] = {{1.f / 4, 0, 0},
                                {-1.f / 6, -1.f / 6, -1.f / 6},
                                {-1.f / 6, 1.f / 6, -1.f / 6},
                                {1.f / 24, 1.f / 12, 1.f / 6},
                                {1.f / 24, -1.f / 12, 1.f / 6},
                                {0, 0, 1}};
  const int64_t filters = int64_t{s.O} * s.C;
#pragma omp parallel for schedule(static)
  for (int64_t o = 0; o < s.O; o++) {
    const int64_t strip = o / kColumns * kColumns;
    const int64_t width = std::min<int64_t>(kColumns, s.O - strip);
    float* column = to + strip * s.C + o % kColumns;
    for (int i = 0; i < kIn; i++)
      for (int j = 0; j < kIn; j++)
        for (int64_t c = 0; c < s.C; c++) {
          float sum = 0;
          for (int r = 0; r < 3; r++)
            for (int q = 0; q < 3; q++)
              sum += kG[i][r] * kG[j][q] * weight[((o * 3 + r) * 3 + q) * s.C + c];
          column[(i * kIn + j) * filters + c * width] = sum;
        }
  }
}

}  // namespace

bool suits_winograd(const WinogradSizes& s) {
  const int64_t tiles = Tiles{{1, s.H, s.W, s.C, s.O}}.count;
  return s.C % kLane == 0 && s.O % kLane == 0 && tiles >= kFewestTiles;
}

void convolve_winograd(const WinogradSizes& s, float* out, const float* x, const float* weight,
                       const float* bias, const float* residual, int activation, int constant,
                       Stream& stream) {
  const Tiles tiles{s};
  const onednn::Desc layout({kPlaces, s.C, s.O}, dnnl::memory::data_type::f32, onednn::Tag::abc);
  const auto* filters = static_cast<const float*>(constant_weight(
      constant, layout, [&](void* to) { transform_weight(static_cast<float*>(to), weight, s); }));
  const int64_t fitting = kChunkBytes / (kPlaces * int64_t{4} * std::max(s.C, s.O));
  const int64_t chunk = std::min(tiles.count, std::max(kLeastChunk, fitting / 4 * 4));
  auto* in =
      static_cast<float*>(stream.scratch(sizeof(float) * kPlaces * (chunk + 3) * (s.C + s.O)));
  float* products = in + kPlaces * (chunk + 3) * s.C;

  for (int64_t first = 0; first < tiles.count; first += chunk) {
    const int64_t count = std::min(chunk, tiles.count - first);
    // Products have rows in fours.
    const int64_t rows = (count + 3) / 4 * 4;
    const int64_t in_step = rows * s.C, out_step = rows * s.O;
    for (int p = 0; p < kPlaces; p++)
      std::fill_n(in + p * in_step + count * s.C, (rows - count) * s.C, 0.0f);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < count; t++) {
      const float* pixels[kPlaces];
      tiles.each_pixel(first + t, kIn, 1, s.C,
                       [&](int64_t at, int i) { pixels[i] = at < 0 ? nullptr : x + at; });
      tile_in(in + t * s.C, in_step, pixels, s.C);
    }
#pragma omp parallel for schedule(static)
    for (int p = 0; p < kPlaces; p++)
      multiply_place(products + p * out_step, in + p * in_step, filters + int64_t{p} * s.C * s.O,
                     static_cast<int>(rows), s);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < count; t++) {
      float* pixels[kOut * kOut];
      tiles.each_pixel(first + t, kOut, 0, s.O,
                       [&](int64_t at, int i) { pixels[i] = at < 0 ? nullptr : out + at; });
      with_activation(activation, [&](auto kind) {
        tile_out<decltype(kind)::value>(pixels, products + t * s.O, out_step, s.O, bias, out,
                                        residual);
      });
    }
  }
}

}  // namespace cpu
