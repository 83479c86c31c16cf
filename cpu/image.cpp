// Pixels to normalised floats, with bilinear cropping and mirroring. Bound by memory without a
// crop.
#include <algorithm>
#include <vector>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

constexpr int kColours = 3;

// (x / 255 - mean) / std as one multiplication and one addition.
struct Normaliser {
  float scale[kColours], shift[kColours];

  Normaliser(const float* mean, const float* std) {
    for (int k = 0; k < kColours; k++) {
      scale[k] = 1.0f / (255.0f * std[k]);
      shift[k] = -mean[k] / std[k];
    }
  }
};

// n pixels of three bytes; `scale` and `shift` repeat the colours' along 3 n.
SIMD void normalise_bytes(float* __restrict out, const uint8_t* __restrict x,
                          const float* __restrict scale, const float* __restrict shift, int n) {
  for (int i = 0; i < kColours * n; i++) out[i] = static_cast<float>(x[i]) * scale[i] + shift[i];
}

// Where a pixel of the crop lies along one axis of the image: between `low` and `high`, `weight`
// towards `high`.
struct Place {
  int low, high;
  float weight;
};

// n pixel centres over `length` pixels of the image from `begin`; the crop's edge repeats, `size`
// bounds all.
void find_places(Place* places, int n, int begin, int length, int size, bool mirrored) {
  const float ratio = static_cast<float>(length) / static_cast<float>(n);
  const float last = static_cast<float>(std::max(length - 1, 0));
  for (int i = 0; i < n; i++) {
    const int from = mirrored ? n - 1 - i : i;
    const float at = std::clamp((static_cast<float>(from) + 0.5f) * ratio - 0.5f, 0.0f, last);
    const int floor = static_cast<int>(at);
    places[i] = {std::clamp(begin + floor, 0, size - 1),
                 std::clamp(begin + std::min(floor + 1, length - 1), 0, size - 1),
                 at - static_cast<float>(floor)};
  }
}

// Between two rows of the image.
SIMD void blend_rows(float* __restrict out, const uint8_t* __restrict above,
                     const uint8_t* __restrict below, float weight, int n) {
  for (int i = 0; i < n; i++) {
    const float top = above[i], bottom = below[i];
    out[i] = top + (bottom - top) * weight;
  }
}

// One row of the output, of C channels, from a blended row of the image.
SIMD void sample_row(float* __restrict out, const float* __restrict row,
                     const Place* __restrict columns, const Normaliser& colours, int n, int C) {
  for (int w = 0; w < n; w++, out += C) {
    const Place place = columns[w];
    for (int k = 0; k < kColours; k++) {
      const float left = row[place.low * kColours + k], right = row[place.high * kColours + k];
      out[k] = (left + (right - left) * place.weight) * colours.scale[k] + colours.shift[k];
    }
    for (int k = kColours; k < C; k++) out[k] = 0.0f;
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void normalize_image(Tensor out, Tensor x, Tensor mean, Tensor std, Tensor crop, Stream&) {
  const int B = out.shape[0], H = out.shape[1], W = out.shape[2], C = out.shape[3];
  const int IH = x.shape[1], IW = x.shape[2];
  const Normaliser colours(mean.f32(), std.f32());
  if (!crop && C == kColours) {
    std::vector<float> scale(static_cast<size_t>(W) * kColours), shift(scale.size());
    for (size_t i = 0; i < scale.size(); i++) {
      scale[i] = colours.scale[i % kColours];
      shift[i] = colours.shift[i % kColours];
    }
#pragma omp parallel for schedule(static)
    for (int row = 0; row < B * H; row++) {
      const int64_t at = static_cast<int64_t>(row) * W * kColours;
      normalise_bytes(out.f32() + at, x.u8() + at, scale.data(), shift.data(), W);
    }
    return;
  }
  const auto bytes_of_row = static_cast<int64_t>(IW) * kColours;
#pragma omp parallel for schedule(static)
  for (int b = 0; b < B; b++) {
    const int whole[] = {0, 0, IH, IW, 0};
    const int* box = crop ? crop.i32() + b * 5 : whole;  // top, left, height, width, mirrored
    std::vector<Place> rows(static_cast<size_t>(H)), columns(static_cast<size_t>(W));
    std::vector<float> blended(static_cast<size_t>(bytes_of_row));
    find_places(rows.data(), H, box[0], box[2], IH, false);
    find_places(columns.data(), W, box[1], box[3], IW, box[4] != 0);
    const int first = std::clamp(box[1], 0, IW - 1) * kColours;
    const int last = std::clamp(box[1] + box[3], 1, IW) * kColours;
    const uint8_t* image = x.u8() + b * IH * bytes_of_row;
    for (int h = 0; h < H; h++) {
      const Place& place = rows[static_cast<size_t>(h)];
      blend_rows(blended.data() + first, image + place.low * bytes_of_row + first,
                 image + place.high * bytes_of_row + first, place.weight, last - first);
      sample_row(out.f32() + (static_cast<int64_t>(b) * H + h) * W * C, blended.data(),
                 columns.data(), colours, W, C);
    }
  }
}

}  // namespace cpu
