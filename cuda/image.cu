// Pixels to normalised floats, with bilinear cropping and mirroring. Bound by memory bandwidth: the
// pixels that neighbouring outputs share come from the cache.
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr int kColours = 3;

// Where a pixel of the crop lies along one axis of the image: between `low` and `high`, `weight`
// towards `high`.
struct Place {
  int low, high;
  float weight;
};

// Pixel i of n, whose centres lie over `length` pixels of the image from `begin`; the crop's edge
// repeats, `size` bounds all.
DEVICE Place find_place(int i, int n, int begin, int length, int size) {
  const float ratio = static_cast<float>(length) / static_cast<float>(n);
  const float last = static_cast<float>(max(length - 1, 0));
  const float at = fminf(fmaxf((static_cast<float>(i) + 0.5f) * ratio - 0.5f, 0.0f), last);
  const int floor = static_cast<int>(at);
  const auto inside = [size](int place) { return min(max(place, 0), size - 1); };
  return {inside(begin + floor), inside(begin + min(floor + 1, length - 1)),
          at - static_cast<float>(floor)};
}

// A thread makes one pixel; crop may be null: then the sizes are equal. With `four`, C is 4 and out
// aligned to a pixel.
template <class T, bool four>
__global__ void __launch_bounds__(kThreads)
    normalize_image_kernel(T* out, const uint8_t* x, const float* mean, const float* std,
                           const int* crop, int H, int W, int C, int IH, int IW) {
  const int row = static_cast<int>(blockIdx.x);
  const int w = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (w >= W) return;
  const int b = row / H;
  const int h = row % H;
  const uint8_t* image = x + int64_t{b} * IH * IW * kColours;
  float pixel[kColours];
  if (crop) {
    const int* box = crop + int64_t{b} * 5;  // top, left, height, width, mirrored
    const Place y = find_place(h, H, box[0], box[2], IH);
    const Place z = find_place(box[4] != 0 ? W - 1 - w : w, W, box[1], box[3], IW);
    const uint8_t* above = image + int64_t{y.low} * IW * kColours;
    const uint8_t* below = image + int64_t{y.high} * IW * kColours;
#pragma unroll
    for (int k = 0; k < kColours; k++) {
      const auto between_rows = [&](int column) {
        const float top = above[column * kColours + k];
        const float bottom = below[column * kColours + k];
        return top + (bottom - top) * y.weight;
      };
      const float left = between_rows(z.low);
      const float right = between_rows(z.high);
      pixel[k] = left + (right - left) * z.weight;
    }
  } else {
    const uint8_t* from = image + (int64_t{h} * IW + w) * kColours;
#pragma unroll
    for (int k = 0; k < kColours; k++) pixel[k] = from[k];
  }
#pragma unroll
  for (int k = 0; k < kColours; k++)
    pixel[k] = pixel[k] * (1.0f / (255.0f * std[k])) - mean[k] / std[k];
  T* to = out + (int64_t{row} * W + w) * C;
  if constexpr (four) {
    const float padded[4] = {pixel[0], pixel[1], pixel[2], 0.0f};
    store(to, padded);
  } else {
#pragma unroll
    for (int k = 0; k < kColours; k++) to[k] = from_float<T>(pixel[k]);
    for (int k = kColours; k < C; k++) to[k] = from_float<T>(0.0f);
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void normalize_image(Tensor out, Tensor x, Tensor mean, Tensor std, Tensor crop, Stream& stream) {
  const int B = out.shape[0], H = out.shape[1], W = out.shape[2], C = out.shape[3];
  const dim3 grid(static_cast<unsigned>(B * H), static_cast<unsigned>(ceil_div(W, kThreads)));
  with_float_type(out, [&]<class T>(T) {
    launch(
        C == 4 && aligned(out) ? normalize_image_kernel<T, true> : normalize_image_kernel<T, false>,
        grid, kThreads, 0, stream, data<T>(out), data<uint8_t>(x), data<float>(mean),
        data<float>(std), data<int>(crop), H, W, C, x.shape[1], x.shape[2]);
  });
}

}  // namespace cuda
