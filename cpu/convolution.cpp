// Convolution with bias, residual and activation in one oneDNN primitive, and its gradients.
// Activations stay NHWC. Weights that change every training step are brought into oneDNN's blocked
// layout on each call (20 GB/s), constant ones once (constant_weight.h), and those of 3 x 3 go
// another way (winograd.h). Bound by arithmetic, depthwise by memory.
#include <algorithm>
#include <cstring>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "activation.h"
#include "constant_weight.h"
#include "onednn.h"
#include "pointwise.h"
#include "winograd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

using dnnl::algorithm;
using onednn::Desc;
using onednn::Dims;
using onednn::Runner;
using onednn::Tag;

enum Direction : int { kForward, kBackwardData, kBackwardWeights };

// The sizes of a convolution, in oneDNN's words and order.
struct Geometry {
  Desc x, out;
  Desc weight;         // as we keep it
  Desc packed_weight;  // as oneDNN likes it
  Desc bias;
  Dims strides, pad_begin, pad_end;
  onednn::Key sizes;

  Geometry(const Tensor& x_, const Tensor& weight_, const Tensor& out_, int stride, int pad_top,
           int pad_left, int groups) {
    const auto [B, H, W, C] = std::array{x_.shape[0], x_.shape[1], x_.shape[2], x_.shape[3]};
    const auto [O, R, S] = std::array{weight_.shape[0], weight_.shape[1], weight_.shape[2]};
    const auto [P, Q] = std::array{out_.shape[1], out_.shape[2]};
    const int used = weight_.shape[3] * groups;  // channels of x
    // Channels that no weight belongs to are stepped over.
    x = used == C ? onednn::describe({B, C, H, W}, Tag::nhwc)
                  : Desc({B, used, H, W}, dnnl::memory::data_type::f32,
                         Dims{int64_t{H} * W * C, 1, int64_t{W} * C, C});
    out = onednn::describe({B, O, P, Q}, Tag::nhwc);
    const Dims dims =
        groups == 1 ? Dims{O, used, R, S} : Dims{groups, O / groups, used / groups, R, S};
    weight = onednn::describe(dims, groups == 1 ? Tag::ohwi : Tag::gohwi);
    packed_weight = onednn::describe(dims, Tag::any);
    bias = onednn::describe({O}, Tag::a);
    strides = {stride, stride};
    pad_begin = {pad_top, pad_left};
    // Less than zero where the stride leaves the last rows unread.
    pad_end = {std::max(0, (P - 1) * stride + R - H - pad_top),
               std::max(0, (Q - 1) * stride + S - W - pad_left)};
    sizes = {0, 0, B, H, W, C, used, O, R, S, P, Q, stride, pad_top, pad_left, groups};
  }

  // One row and column of padding on all sides, one pixel a step, every channel of x used.
  bool is_plain_3x3() const {
    const auto [R, S, groups] = std::array{sizes[8], sizes[9], sizes[15]};
    return groups == 1 && R == 3 && S == 3 && strides == Dims{1, 1} && pad_begin == Dims{1, 1} &&
           pad_end == Dims{1, 1} && sizes[5] == sizes[6];
  }
  bool is_pointwise() const {
    const auto [R, S, groups] = std::array{sizes[8], sizes[9], sizes[15]};
    return groups == 1 && R == 1 && S == 1 && strides == Dims{1, 1} && pad_begin == Dims{0, 0} &&
           pad_end == Dims{0, 0};
  }
  PointwiseSizes pointwise() const {
    const int64_t of_image = int64_t{sizes[3]} * sizes[4];
    return {sizes[2] * of_image, of_image, sizes[5], sizes[6], sizes[7]};
  }
  WinogradSizes winograd() const { return {sizes[2], sizes[3], sizes[4], sizes[5], sizes[7]}; }

  onednn::Key key(Direction direction, int variant) const {
    onednn::Key key = sizes;
    key[0] = direction;
    key[1] = variant;
    return key;
  }

  auto forward(bool with_bias, const dnnl::post_ops& post_ops = {}) const {
    return onednn::describe_primitive<dnnl::convolution_forward::primitive_desc>(
        onednn::attributes(post_ops), dnnl::prop_kind::forward_training,
        algorithm::convolution_direct, x, packed_weight, with_bias ? bias : Desc(), out, strides,
        pad_begin, pad_end);
  }
};

// A primitive, and the reordering of the weights that it reads or writes.
struct Plan {
  Runner convolution;
  Desc packed;
  Runner reorder;
  bool reorders;
  size_t packed_bytes;

  Plan(Runner convolution_, const Desc& from, const Desc& to, const Desc& packed_)
      : convolution(std::move(convolution_)),
        packed(packed_),
        reorder(onednn::reorder(from, to)),
        reorders(from != to),
        packed_bytes(onednn::align(packed.get_size())) {}

  size_t scratch_bytes() const {
    return packed_bytes + std::max(convolution.scratch_bytes(), reorder.scratch_bytes());
  }
  const void* pack(const void* weight, char* scratch, int constant = 0) {
    if (!reorders) return weight;
    if (constant)
      return constant_weight(constant, packed, [&](void* to) {
        reorder.run({weight, to}, scratch);
      });
    reorder.run({weight, scratch}, scratch + packed_bytes);
    return scratch;
  }
};

dnnl::post_ops post_ops(bool residual, const Desc& out, int activation) {
  dnnl::post_ops ops;
  if (residual) ops.append_binary(algorithm::binary_add, out);
  if (activation == kRelu) onednn::append_activation(ops, algorithm::eltwise_relu, 0, 0);
  if (activation == kRelu6) onednn::append_activation(ops, algorithm::eltwise_clip, 0, 6);
  if (activation == kGelu) onednn::append_activation(ops, algorithm::eltwise_gelu_erf, 0, 0);
  if (activation == kSilu) onednn::append_activation(ops, algorithm::eltwise_swish, 1, 0);
  return ops;
}

Plan plan_forward(const Geometry& sizes, bool bias, bool residual, int activation) {
  const auto desc = sizes.forward(bias, post_ops(residual, sizes.out, activation));
  Runner runner(
      desc, dnnl::convolution_forward(desc),
      {{DNNL_ARG_SRC, sizes.x},
       {DNNL_ARG_WEIGHTS, desc.weights_desc()},
       {DNNL_ARG_BIAS, bias ? sizes.bias : Desc()},
       {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, residual ? sizes.out : Desc()},
       {DNNL_ARG_DST, sizes.out}});
  return Plan(std::move(runner), sizes.weight, desc.weights_desc(), desc.weights_desc());
}

Plan plan_backward_data(const Geometry& sizes) {
  using Convolution = dnnl::convolution_backward_data;
  const auto desc = onednn::describe_backward<Convolution::primitive_desc>(
      sizes.forward(false), algorithm::convolution_direct, sizes.x, sizes.packed_weight, sizes.out,
      sizes.strides, sizes.pad_begin, sizes.pad_end);
  Runner runner(desc, Convolution(desc),
                {{DNNL_ARG_DIFF_DST, sizes.out},
                 {DNNL_ARG_WEIGHTS, desc.weights_desc()},
                 {DNNL_ARG_DIFF_SRC, sizes.x}});
  return Plan(std::move(runner), sizes.weight, desc.weights_desc(), desc.weights_desc());
}

Plan plan_backward_weights(const Geometry& sizes, bool bias) {
  using Convolution = dnnl::convolution_backward_weights;
  const auto desc = onednn::describe_backward<Convolution::primitive_desc>(
      sizes.forward(bias), algorithm::convolution_direct, sizes.x, sizes.packed_weight,
      bias ? sizes.bias : Desc(), sizes.out, sizes.strides, sizes.pad_begin, sizes.pad_end);
  const Desc packed = desc.diff_weights_desc();
  Runner runner(desc, Convolution(desc),
                {{DNNL_ARG_SRC, sizes.x},
                 {DNNL_ARG_DIFF_DST, sizes.out},
                 {DNNL_ARG_DIFF_WEIGHTS, packed},
                 {DNNL_ARG_DIFF_BIAS, bias ? sizes.bias : Desc()}});
  return Plan(std::move(runner), packed, sizes.weight, packed);
}

// g = dout act'(out)
template <int kind>
SIMD void undo_activation(float* g, const float* dout, const float* out, int64_t n) {
  for (int64_t i = 0; i < n; i++) g[i] = dout[i] * activation_derivative<kind>(out[i]);
}

void undo_activation(float* g, Tensor dout, Tensor out, int activation) {
  constexpr int64_t kChunk = 16384;
  const int64_t n = dout.size();
  with_activation(activation, [&](auto kind) {
#pragma omp parallel for schedule(static) if (n > kChunk)
    for (int64_t i = 0; i < n; i += kChunk)
      undo_activation<kind>(g + i, dout.f32() + i, out.f32() + i, std::min(kChunk, n - i));
  });
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void convolution(Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor residual, int stride,
                 int pad_top, int pad_left, int groups, int activation, int constant,
                 Stream& stream) {
  if (out.size() == 0) return;
  const Geometry sizes(x, weight, out, stride, pad_top, pad_left, groups);
  if (constant && sizes.is_plain_3x3() && suits_winograd(sizes.winograd()))
    return convolve_winograd(sizes.winograd(), out.f32(), x.f32(), weight.f32(), bias.f32(),
                             residual.f32(), activation, constant, stream);
  if (sizes.is_pointwise() && suits_pointwise(sizes.pointwise()))
    return convolve_pointwise(sizes.pointwise(), out.f32(), x.f32(), weight.f32(), bias.f32(),
                              residual.f32(), activation);
  const bool has_bias(bias), has_residual(residual);
  const int variant = activation * 4 + has_residual * 2 + has_bias;
  Plan& plan = onednn::cached<Plan>(sizes.key(kForward, variant), [&] {
    return plan_forward(sizes, has_bias, has_residual, activation);
  });
  char* scratch = static_cast<char*>(stream.scratch(plan.scratch_bytes()));
  const void* packed = plan.pack(weight.data, scratch, constant);
  plan.convolution.run({x.data, packed, bias.data, residual.data, out.data},
                       scratch + plan.packed_bytes);
}

void convolution_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dresidual, Tensor dout,
                          Tensor x, Tensor weight, Tensor out, int stride, int pad_top,
                          int pad_left, int groups, int activation, Stream& stream) {
  if (dout.size() == 0) {
    for (const Tensor& gradient : {dweight, dbias})
      if (gradient) std::memset(gradient.data, 0, static_cast<size_t>(gradient.bytes()));
    return;
  }
  const Geometry sizes(x, weight, dout, stride, pad_top, pad_left, groups);
  const bool has_bias(dbias);
  const bool pointwise = sizes.is_pointwise() && suits_pointwise(sizes.pointwise());
  Plan* data = nullptr;
  Plan* weights = nullptr;
  size_t bytes = 0;
  if (dx && !pointwise) {
    data = &onednn::cached<Plan>(sizes.key(kBackwardData, 0),
                                 [&] { return plan_backward_data(sizes); });
    bytes = data->scratch_bytes();
  }
  if (dbias || (dweight && !pointwise)) {
    weights = &onednn::cached<Plan>(sizes.key(kBackwardWeights, has_bias),
                                    [&] { return plan_backward_weights(sizes, has_bias); });
    bytes = std::max(bytes, weights->scratch_bytes());
  }

  // The gradient before the activation: dout itself, or in dresidual when that is wanted, or in
  // scratch.
  const bool needs_g = activation != kNone && !dresidual;
  const size_t g_bytes = needs_g ? onednn::align(static_cast<size_t>(dout.bytes())) : 0;
  char* base = static_cast<char*>(stream.scratch(g_bytes + bytes));
  char* scratch = base + g_bytes;
  const float* g = dout.f32();
  if (activation != kNone) {
    float* to = needs_g ? reinterpret_cast<float*>(base) : dresidual.f32();
    undo_activation(to, dout, out, activation);
    g = to;
  } else if (dresidual) {
    std::memcpy(dresidual.data, dout.data, static_cast<size_t>(dout.bytes()));
  }

  if (dx && x.shape[3] > weight.shape[3] * groups)
    std::memset(dx.data, 0, static_cast<size_t>(dx.bytes()));
  if (pointwise)
    pointwise_gradients(sizes.pointwise(), dx.f32(), weights ? nullptr : dweight.f32(), g, x.f32(),
                        weight.f32());
  if (data) {
    const void* packed = data->pack(weight.data, scratch);
    data->convolution.run({g, packed, dx.data}, scratch + data->packed_bytes);
  }
  if (weights) {
    void* packed = weights->reorders || !dweight ? scratch : dweight.data;
    weights->convolution.run({x.data, g, packed, dbias.data}, scratch + weights->packed_bytes);
    if (weights->reorders && dweight)
      weights->reorder.run({packed, dweight.data}, scratch + weights->packed_bytes);
  }
}

}  // namespace cpu
