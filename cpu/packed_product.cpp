// oneDNN's inner product with reordered weights.
#include "packed_product.h"

#include "onednn.h"

namespace cpu {
namespace {

using onednn::Desc;
using onednn::Key;
using onednn::Runner;
using onednn::Tag;
using Product = dnnl::inner_product_forward;

// The layout is the one that oneDNN likes best for so many rows; it takes it for any other number.
constexpr int kUsualRows = 64;

auto describe_product(const Desc& weights, int rows, int outputs, int inputs, bool accumulate) {
  dnnl::post_ops ops;
  if (accumulate) ops.append_sum(1.0f);
  return onednn::describe_primitive<Product::primitive_desc>(
      onednn::attributes(ops), dnnl::prop_kind::forward_inference,
      onednn::describe({rows, inputs}, Tag::ab), weights,
      onednn::describe({rows, outputs}, Tag::ab));
}

struct Layout {
  Desc desc;
};

const Desc& layout(int outputs, int inputs) {
  return onednn::cached<Layout>(
             Key{outputs, inputs},
             [&] {
               const Desc any = onednn::describe({outputs, inputs}, Tag::any);
               return Layout{
                   describe_product(any, kUsualRows, outputs, inputs, false).weights_desc()};
             })
      .desc;
}

struct Packing {
  Runner reorder;
};

Packing& packing(int outputs, int inputs, int64_t row, int64_t column) {
  const Key key{outputs, inputs, static_cast<int>(row), static_cast<int>(column)};
  return onednn::cached<Packing>(key, [&] {
    const Desc from({outputs, inputs}, dnnl::memory::data_type::f32, onednn::Dims{row, column});
    return Packing{onednn::reorder(from, layout(outputs, inputs))};
  });
}

struct Multiplication {
  Runner product;
};

Multiplication& multiplication(int rows, int outputs, int inputs, bool accumulate) {
  return onednn::cached<Multiplication>(Key{rows, outputs, inputs, accumulate}, [&] {
    const auto desc = describe_product(layout(outputs, inputs), rows, outputs, inputs, accumulate);
    return Multiplication{Runner(desc, Product(desc),
                                 {{DNNL_ARG_SRC, desc.src_desc()},
                                  {DNNL_ARG_WEIGHTS, desc.weights_desc()},
                                  {DNNL_ARG_DST, desc.dst_desc()}})};
  });
}

struct Scratch {
  size_t bytes;
};

}  // namespace

size_t packed_bytes(int outputs, int inputs) {
  return onednn::align(layout(outputs, inputs).get_size());
}

size_t pack_scratch(int outputs, int inputs, int64_t row, int64_t column) {
  return onednn::align(packing(outputs, inputs, row, column).reorder.scratch_bytes());
}

void pack(void* packed, const float* matrix, int outputs, int inputs, int64_t row, int64_t column,
          void* scratch) {
  packing(outputs, inputs, row, column).reorder.run({matrix, packed}, scratch);
}

// Products with fewer rows may ask for more, for sums that are divided among the threads.
size_t multiply_scratch(int most_rows, int outputs, int inputs) {
  return onednn::cached<Scratch>(
             Key{most_rows, outputs, inputs},
             [&] {
               Scratch most{0};
               for (int rows = 1; rows <= rounded_rows(most_rows); rows = rounded_rows(rows + 1))
                 for (const bool accumulate : {false, true}) {
                   const auto desc =
                       describe_product(layout(outputs, inputs), rows, outputs, inputs, accumulate);
                   most.bytes = std::max(most.bytes, desc.scratchpad_desc().get_size());
                 }
               return most;
             })
      .bytes;
}

void multiply_packed(float* y, const float* x, const void* packed, int rows, int outputs,
                     int inputs, bool accumulate, void* scratch) {
  if (rows == 0) return;
  multiplication(rows, outputs, inputs, accumulate).product.run({x, packed, y}, scratch);
}

}  // namespace cpu
