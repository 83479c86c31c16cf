// Pixels to normalised floats, with bilinear cropping and mirroring. Bound by memory without a
// crop.
#include <algorithm>
#include <cmath>
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

  // Centre of pixel i of n over the crop's pixels begin .. begin + length of an image of `size`;
  // the crop's edge repeats.
  Place(int i, int n, int begin, int length, int size) {
    const float ratio = static_cast<float>(length) / static_cast<float>(n);
    const float inside = (static_cast<float>(i) + 0.5f) * ratio - 0.5f;
    const float at = std::clamp(inside, 0.0f, static_cast<float>(std::max(length - 1, 0)));
    const int floor = static_cast<int>(at);
    weight = at - static_cast<float>(floor);
    low = std::clamp(begin + floor, 0, size - 1);
    high = std::clamp(begin + std::min(floor + 1, length - 1), 0, size - 1);
  }
};

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
#pragma omp parallel for schedule(static) collapse(2)
  for (int b = 0; b < B; b++)
    for (int h = 0; h < H; h++) {
      const int whole[] = {0, 0, IH, IW, 0};
      const int* box = crop ? crop.i32() + b * 5 : whole;  // top, left, height, width, mirrored
      const Place y(h, H, box[0], box[2], IH);
      const uint8_t* image = x.u8() + static_cast<int64_t>(b) * IH * IW * kColours;
      const uint8_t* above = image + static_cast<int64_t>(y.low) * IW * kColours;
      const uint8_t* below = image + static_cast<int64_t>(y.high) * IW * kColours;
      float* to = out.f32() + (static_cast<int64_t>(b) * H + h) * W * C;
      for (int w = 0; w < W; w++, to += C) {
        const Place z(box[4] ? W - 1 - w : w, W, box[1], box[3], IW);
        for (int k = 0; k < kColours; k++) {
          const auto between = [&](const uint8_t* row) {
            const float left = row[z.low * kColours + k], right = row[z.high * kColours + k];
            return left + (right - left) * z.weight;
          };
          const float top = between(above), bottom = between(below);
          to[k] = (top + (bottom - top) * y.weight) * colours.scale[k] + colours.shift[k];
        }
        std::fill(to + kColours, to + C, 0.0f);
      }
    }
}

}  // namespace cpu
