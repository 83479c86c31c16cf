// See winograd.h.
#include "winograd.h"

#include <vector>

#include "activation.h"
#include "constant_weight.h"
#include "simd.h"

namespace cpu {
namespace {

using onednn::align;
using onednn::Desc;
using onednn::Tag;

// Channels lie together in groups of so many, each group an image of its own: nChw16c.
constexpr int kBlock = 16;

// A pixel's groups are `stride` apart in the blocked image.
SIMD void to_blocks(float* blocks, int64_t stride, const float* pixels, int64_t count, int groups) {
  for (int64_t pixel = 0; pixel < count; pixel++, blocks += kBlock)
    for (int group = 0; group < groups; group++, pixels += kBlock)
      for (int i = 0; i < kBlock; i++) blocks[group * stride + i] = pixels[i];
}

template <int kind, bool has_residual>
SIMD void from_blocks(float* pixels, const float* blocks, int64_t stride, const float* residual,
                      int64_t count, int groups) {
  for (int64_t pixel = 0; pixel < count; pixel++, blocks += kBlock)
    for (int group = 0; group < groups; group++, pixels += kBlock) {
      for (int i = 0; i < kBlock; i++)
        pixels[i] =
            activate<kind>(blocks[group * stride + i] + (has_residual ? residual[i] : 0.0f));
      if (has_residual) residual += kBlock;
    }
}

size_t bytes_of_image(const WinogradSizes& s, int channels) {
  return align(size_t{4} * s.B * s.H * s.W * channels);
}

// Calls rows(place in NHWC, place in blocks) for each row of each image; places without channels.
template <class Rows>
void each_row(const WinogradSizes& s, int channels, Rows rows) {
  const int64_t all = int64_t{s.B} * s.H;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < all; row++) {
    const int64_t image = row / s.H * s.H * s.W * channels;
    rows(row * s.W * channels, image + row % s.H * s.W * kBlock);
  }
}

}  // namespace

std::unique_ptr<Winograd> Winograd::create(const WinogradSizes& s) {
#if DNNL_VERSION_MAJOR >= 3
  return nullptr;
#else
  if (s.C % kBlock != 0 || s.O % kBlock != 0) return nullptr;
  const Desc x = onednn::describe({s.B, s.C, s.H, s.W}, Tag::nChw16c);
  const Desc out = onednn::describe({s.B, s.O, s.H, s.W}, Tag::nChw16c);
  const Desc weight = onednn::describe({s.O, s.C, 3, 3}, Tag::any);
  const dnnl::convolution_forward::desc op(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_winograd, x, weight,
      onednn::describe({s.O}, Tag::a), out, {1, 1}, {1, 1}, {1, 1});
  const dnnl::convolution_forward::primitive_desc desc(op, onednn::attributes(), onednn::engine(),
                                                       true);
  return desc ? std::unique_ptr<Winograd>(new Winograd(s, desc)) : nullptr;
#endif
}

Winograd::Winograd(const WinogradSizes& sizes,
                   const dnnl::convolution_forward::primitive_desc& desc)
    : sizes_(sizes),
      packed_(desc.weights_desc()),
      convolution_(desc, dnnl::convolution_forward(desc),
                   {{DNNL_ARG_SRC, desc.src_desc()},
                    {DNNL_ARG_WEIGHTS, desc.weights_desc()},
                    {DNNL_ARG_BIAS, desc.bias_desc()},
                    {DNNL_ARG_DST, desc.dst_desc()}}) {}

void Winograd::run(float* out, const float* x, const float* weight, const float* bias,
                   const float* residual, int activation, int constant, Stream& stream) {
  const auto& s = sizes_;
  const size_t x_bytes = bytes_of_image(s, s.C), out_bytes = bytes_of_image(s, s.O);
  const size_t bias_bytes = align(size_t{4} * s.O);
  auto* scratch = static_cast<char*>(
      stream.scratch(x_bytes + out_bytes + bias_bytes + convolution_.scratch_bytes()));
  auto* x_blocks = reinterpret_cast<float*>(scratch);
  auto* out_blocks = reinterpret_cast<float*>(scratch + x_bytes);
  auto* no_bias = reinterpret_cast<float*>(scratch + x_bytes + out_bytes);
  const int64_t stride = int64_t{s.H} * s.W * kBlock;

  const void* packed = constant_weight(constant, packed_, [&](void* to) { pack(to, weight); });
  if (!bias) std::fill_n(no_bias, s.O, 0.0f);
  each_row(s, s.C, [&](int64_t pixels, int64_t blocks) {
    to_blocks(x_blocks + blocks, stride, x + pixels, s.W, s.C / kBlock);
  });
  convolution_.run({x_blocks, packed, bias ? bias : no_bias, out_blocks},
                   scratch + x_bytes + out_bytes + bias_bytes);
  with_activation(activation, [&](auto kind) {
    constexpr int act = decltype(kind)::value;
    each_row(s, s.O, [&](int64_t pixels, int64_t blocks) {
      if (residual)
        from_blocks<act, true>(out + pixels, out_blocks + blocks, stride, residual + pixels, s.W,
                               s.O / kBlock);
      else
        from_blocks<act, false>(out + pixels, out_blocks + blocks, stride, nullptr, s.W,
                                s.O / kBlock);
    });
  });
}

// oneDNN transforms weights of one layout only.
void Winograd::pack(void* to, const float* weight) const {
  const Desc ours = onednn::describe({sizes_.O, sizes_.C, 3, 3}, Tag::ohwi);
  const Desc theirs = onednn::describe({sizes_.O, sizes_.C, 3, 3}, Tag::oihw);
  std::vector<float> copy(size_t{9} * sizes_.O * sizes_.C);
  onednn::Runner first = onednn::reorder(ours, theirs), second = onednn::reorder(theirs, packed_);
  std::vector<char> scratch(64 + std::max(first.scratch_bytes(), second.scratch_bytes()));
  first.run({weight, copy.data()}, scratch.data());
  second.run({copy.data(), to}, scratch.data());
}

}  // namespace cpu
