// The attending LSTM (Show, Attend and Tell): training's pass over packed captions, and one step of
// decoding. Each step is two products over the rows that may be alive, and two kernels; gradients
// are attending_lstm_backward.cu's. Nothing waits for the host, which does not know the captions'
// lengths.
#include "attending_lstm/forward.cuh"
#include "gemm/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

using namespace lstm;

// words [N, 4D] = x (the words' columns of input_weight)^T + bias
void multiply_words(float* words, Tensor x, Tensor input_weight, Tensor bias, const Sizes& z,
                    Stream& stream) {
  Epilogue epilogue;
  epilogue.bias = bias.f32();
  gemm(words, Dtype::float32, z.gates(), z.tokens, z.gates(), z.embedding, x.dtype,
       {x.data, z.embedding, true}, {input_weight.data, z.inputs(), true}, epilogue, stream);
}

// One step of the first places, from the states h on; both kernels read `products`.
template <class T>
void run_step(float* products, const AttendStep<T>& attend, const CellStep<T>& cell, const T* h,
              const void* packed, Tensor input_weight, bool vectors, Stream& stream) {
  const Sizes& z = attend.z;
  const Dtype dtype = input_weight.dtype;
  const int rows = cell.rows;
  gemm(products, Dtype::float32, z.products(), rows, z.products(), z.hidden, dtype,
       {h, z.hidden, true}, {packed, z.hidden, true}, {}, stream);
  const size_t shared = sizeof(float) * (static_cast<size_t>(z.attention + 3) / 4 * 4 + z.cells);
  const auto start = [&](auto kernel, int n) {
    const dim3 grid(static_cast<unsigned>(rows),
                    static_cast<unsigned>(ceil_div(z.features, kAttendThreads * n)));
    launch(kernel, grid, kAttendThreads, shared, stream, attend);
  };
  if (vectors) {
    start(attend_kernel<T, kVector<T>>, kVector<T>);
  } else {
    start(attend_kernel<T, 1>, 1);
  }
  Epilogue more;
  more.accumulate = true;
  gemm(products + z.gates_begin(), Dtype::float32, z.products(), rows, z.gates(), z.features, dtype,
       {attend.gated, z.features, true}, {data<T>(input_weight) + z.embedding, z.inputs(), true},
       more, stream);
  launch(cell_kernel<T>, blocks_for(int64_t{rows} * z.hidden), kThreads, 0, stream, cell);
}

template <class T>
bool whole_vectors(const Sizes& z, Tensor memory, Tensor keys, Tensor score_weight, Tensor context,
                   Tensor gate) {
  return aligned(memory, keys, score_weight, context, gate) && z.features % kVector<T> == 0 &&
         z.attention % kVector<T> == 0;
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void attending_lstm(Tensor hidden, Tensor alpha, Tensor query, Tensor context, Tensor gate,
                    Tensor gates, Tensor cells, Tensor x, Tensor memory, Tensor keys, Tensor h0,
                    Tensor c0, Tensor decoder_weight, Tensor decoder_bias, Tensor score_weight,
                    Tensor gate_weight, Tensor gate_bias, Tensor input_weight, Tensor input_bias,
                    Tensor hidden_weight, Tensor hidden_bias, Tensor offsets, int rows_per_key,
                    int longest, Stream& stream) {
  const Sizes z = sizes_of(x, memory, keys, h0, rows_per_key);
  if (z.tokens == 0) return;
  with_float_type(hidden, [&]<class T>(T) {
    auto* words = scratch<float>(stream, int64_t{z.tokens} * z.gates());
    auto* products = scratch<float>(stream, int64_t{z.rows} * z.products());
    auto* gated = scratch<T>(stream, int64_t{z.rows} * z.features);
    auto* h = scratch<T>(stream, int64_t{z.rows} * z.hidden);
    auto* c = scratch<float>(stream, int64_t{z.rows} * z.hidden);
    auto* packed = scratch<T>(stream, int64_t{z.products()} * z.hidden);
    const Order order(offsets, z, stream);
    const Places places{data<int>(offsets), order.order, rows_per_key, z.tokens};
    launch(begin_step_kernel<T, T>, blocks_for(int64_t{z.rows} * z.hidden), kThreads, 0, stream, h,
           c, data<T>(h0), data<T>(c0), nullptr, 0, true, places, z.rows, z.hidden);
    pack_weights(packed, decoder_weight, gate_weight, hidden_weight, stream);
    multiply_words(words, x, input_weight, input_bias, z, stream);
    const bool vectors = whole_vectors<T>(z, memory, keys, score_weight, context, gate);
    for (int step = 0; step < longest; step++) {
      const int rows = most_alive(z, step);
      run_step<T>(products,
                  {gated, data<T>(alpha), data<T>(query), data<T>(context), data<T>(gate), products,
                   decoder_bias.f32(), gate_bias.f32(), data<T>(keys), data<T>(memory),
                   data<T>(score_weight), places, z, step},
                  {data<T>(hidden), h, c, data<T>(gates), cells.f32(), c, products, words,
                   hidden_bias.f32(), places, z, step, rows},
                  h, packed, input_weight, vectors, stream);
    }
  });
}

void attending_lstm_pack(Tensor packed, Tensor decoder_weight, Tensor gate_weight, Tensor,
                         Tensor hidden_weight, Stream& stream) {
  pack_weights(packed.data, decoder_weight, gate_weight, hidden_weight, stream);
}

void attending_lstm_step(Tensor hidden, Tensor states, Tensor cells, Tensor x, Tensor memory,
                         Tensor keys, Tensor h0, Tensor c0, Tensor packed, Tensor,
                         Tensor decoder_bias, Tensor score_weight, Tensor, Tensor gate_bias,
                         Tensor input_weight, Tensor input_bias, Tensor, Tensor hidden_bias,
                         Tensor ancestors, int rows_per_key, int position, Stream& stream) {
  const Sizes z = sizes_of(x, memory, keys, h0, rows_per_key);
  with_float_type(hidden, [&]<class T>(T) {
    const int64_t half = int64_t{z.rows} * z.hidden;
    auto* words = scratch<float>(stream, int64_t{z.rows} * z.gates());
    auto* products = scratch<float>(stream, int64_t{z.rows} * z.products());
    auto* gated = scratch<T>(stream, int64_t{z.rows} * z.features);
    auto* h = scratch<T>(stream, half);
    auto* c = scratch<float>(stream, half);
    const Places places{nullptr, nullptr, rows_per_key, z.tokens};
    const int64_t before = (position + 1) % 2 * half;
    const int64_t now = position % 2 * half;
    const bool parents = ancestors && position > 0;
    const int* parent = parents ? data<int>(ancestors) + position - 1 : nullptr;
    const int stride = parents ? ancestors.shape[1] : 0;
    if (position == 0) {
      launch(begin_step_kernel<T, T>, blocks_for(half), kThreads, 0, stream, h, c, data<T>(h0),
             data<T>(c0), parent, stride, true, places, z.rows, z.hidden);
    } else {
      launch(begin_step_kernel<T, float>, blocks_for(half), kThreads, 0, stream, h, c,
             data<T>(states) + before, cells.f32() + before, parent, stride, false, places, z.rows,
             z.hidden);
    }
    multiply_words(words, x, input_weight, input_bias, z, stream);
    run_step<T>(
        products,
        {gated, nullptr, nullptr, nullptr, nullptr, products, decoder_bias.f32(), gate_bias.f32(),
         data<T>(keys), data<T>(memory), data<T>(score_weight), places, z, 0},
        {data<T>(hidden), data<T>(states) + now, cells.f32() + now, nullptr, nullptr, c, products,
         words, hidden_bias.f32(), places, z, 0, z.rows},
        h, packed.data, input_weight,
        whole_vectors<T>(z, memory, keys, score_weight, Tensor(), Tensor()), stream);
  });
}

}  // namespace cuda
