// Gradients of the attending LSTM: each step back is two kernels and two products over the rows
// that may be alive; the gradients of weights, keys and image cells follow over all tokens. Sums in
// a fixed order.
#include "attending_lstm/backward.cuh"
#include "gemm/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

using namespace lstm;

// dweight [m, n] = gradients^T x over all tokens; gradients are some columns of [N, A + F + 4D].
void weight_gradient(Tensor dweight, int column, const void* gradients, int m, const void* x, int n,
                     Dtype dtype, const Sizes& z, Stream& stream) {
  if (!dweight) return;
  gemm(dweight.f32() + column, Dtype::float32, dweight.columns(), m, n, z.tokens, dtype,
       {gradients, z.products(), false}, {x, n, false}, {}, stream);
}

void bias_gradient(Tensor dbias, const void* gradients, Dtype dtype, const Sizes& z,
                   Stream& stream) {
  if (dbias)
    column_sums(dbias.f32(), gradients, dtype, z.tokens, dbias.columns(), z.products(), stream);
}

// One step back: gradients before the activations, then what reaches the state before.
template <class T>
void step_back(float* dgated, float* dh, const CellGradient<T>& cell,
               const AttendGradient<T>& attend, const void* packed, Tensor input_weight,
               bool vectors, Stream& stream) {
  const Sizes& z = cell.z;
  const Dtype dtype = input_weight.dtype;
  const T* gradients = cell.d.by_place;
  launch(cell_gradient_kernel<T>, blocks_for(int64_t{cell.rows} * z.hidden), kThreads, 0, stream,
         cell);
  gemm(dgated, Dtype::float32, z.features, cell.rows, z.features, z.gates(), dtype,
       {gradients + z.gates_begin(), z.products(), true},
       {data<T>(input_weight) + z.embedding, z.inputs(), false}, {}, stream);
  const size_t shared = sizeof(float) * (static_cast<size_t>(z.features + 3) / 4 * 4 + z.cells);
  launch(vectors ? attend_gradient_kernel<T, kVector<T>> : attend_gradient_kernel<T, 1>,
         static_cast<unsigned>(cell.rows), kThreads, shared, stream, attend);
  gemm(dh, Dtype::float32, z.hidden, cell.rows, z.hidden, z.products(), dtype,
       {gradients, z.products(), true}, {packed, z.hidden, false}, {}, stream);
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void attending_lstm_backward(Tensor dx, Tensor dmemory, Tensor dkeys, Tensor dh0, Tensor dc0,
                             Tensor ddecoder_weight, Tensor ddecoder_bias, Tensor dscore_weight,
                             Tensor dgate_weight, Tensor dgate_bias, Tensor dinput_weight,
                             Tensor dinput_bias, Tensor dhidden_weight, Tensor dhidden_bias,
                             Tensor dhidden, Tensor dalpha, Tensor hidden, Tensor alpha,
                             Tensor query, Tensor context, Tensor gate, Tensor gates, Tensor cells,
                             Tensor x, Tensor memory, Tensor keys, Tensor h0, Tensor c0,
                             Tensor decoder_weight, Tensor score_weight, Tensor gate_weight,
                             Tensor input_weight, Tensor hidden_weight, Tensor offsets,
                             int rows_per_key, int longest, Stream& stream) {
  const Sizes z = sizes_of(x, memory, keys, h0, rows_per_key);
  const Dtype dtype = x.dtype;
  const int64_t width = z.products();
  with_float_type(x, [&]<class T>(T) {
    auto* packed = scratch<T>(stream, width * z.hidden);
    const Steps<T> d{scratch<T>(stream, z.rows * width), scratch<T>(stream, z.tokens * width)};
    auto* previous = scratch<T>(stream, int64_t{z.tokens} * z.hidden);
    auto* gated = scratch<T>(stream, int64_t{z.tokens} * z.features);
    auto* dcontext = scratch<T>(stream, int64_t{z.tokens} * z.features);
    auto* dscores = scratch<float>(stream, int64_t{z.tokens} * z.cells);
    auto* dgated = scratch<float>(stream, int64_t{z.rows} * z.features);
    auto* dh = scratch<float>(stream, int64_t{z.rows} * z.hidden);
    auto* dc = scratch<float>(stream, int64_t{z.rows} * z.hidden);
    auto* dscore_weights = scratch<float>(stream, int64_t{z.images} * z.cells * z.attention);
    const Order order(offsets, z, stream);
    const Places places{data<int>(offsets), order.order, rows_per_key, z.tokens};
    pack_weights(packed, decoder_weight, gate_weight, hidden_weight, stream);
    const int64_t states = int64_t{z.rows} * z.hidden;
    launch(zero_states_kernel, blocks_for(states), kThreads, 0, stream, dh, dc, states);
    const bool vectors = aligned(memory) && z.features % kVector<T> == 0;
    for (int step = longest - 1; step >= 0; step--) {
      const int rows = most_alive(z, step);
      if (rows == 0) continue;
      step_back<T>(dgated, dh,
                   {d, previous, dh, dc, data<T>(dhidden), data<T>(hidden), data<T>(gates),
                    cells.f32(), data<T>(h0), data<T>(c0), places, z, step, rows},
                   {d, dcontext, gated, dscores, dgated, data<T>(dalpha), data<T>(alpha),
                    data<T>(query), data<T>(context), data<T>(gate), data<T>(keys), data<T>(memory),
                    data<T>(score_weight), places, z, step},
                   packed, input_weight, vectors, stream);
    }

    const auto sum_images = [&](Tensor dstate0, const float* dstate) {
      if (dstate0)
        launch(sum_images_kernel<T>, blocks_for(dstate0.size()), kThreads, 0, stream,
               data<T>(dstate0), dstate, order.place, z);
    };
    sum_images(dh0, dh);
    sum_images(dc0, dc);
    const T* dquery = d.by_token;
    const T* dgate = dquery + z.attention;
    const T* dgates = dgate + z.features;
    bias_gradient(ddecoder_bias, dquery, dtype, z, stream);
    bias_gradient(dgate_bias, dgate, dtype, z, stream);
    bias_gradient(dinput_bias, dgates, dtype, z, stream);
    bias_gradient(dhidden_bias, dgates, dtype, z, stream);
    weight_gradient(ddecoder_weight, 0, dquery, z.attention, previous, z.hidden, dtype, z, stream);
    weight_gradient(dgate_weight, 0, dgate, z.features, previous, z.hidden, dtype, z, stream);
    weight_gradient(dhidden_weight, 0, dgates, z.gates(), previous, z.hidden, dtype, z, stream);
    weight_gradient(dinput_weight, 0, dgates, z.gates(), x.data, z.embedding, dtype, z, stream);
    weight_gradient(dinput_weight, z.embedding, dgates, z.gates(), gated, z.features, dtype, z,
                    stream);
    if (dx)
      gemm(dx.data, dtype, z.embedding, z.tokens, z.embedding, z.gates(), dtype,
           {dgates, width, true}, {input_weight.data, z.inputs(), false}, {}, stream);
    const auto parts = [](int columns) {
      return static_cast<unsigned>(ceil_div(columns, kThreads));
    };
    const auto all_cells = static_cast<unsigned>(z.images * z.cells);
    if (dkeys || dscore_weight)
      launch(key_gradient_kernel<T>, dim3(all_cells, parts(z.attention)), kThreads, 0, stream,
             data<T>(dkeys), dscore_weights, data<T>(keys), data<T>(query), dscores,
             data<T>(score_weight), data<int>(offsets), z);
    if (dscore_weight)
      column_sums(dscore_weight.f32(), dscore_weights, Dtype::float32, all_cells, z.attention,
                  z.attention, stream);
    if (dmemory)
      launch(memory_gradient_kernel<T>,
             dim3(static_cast<unsigned>(z.images), parts(z.features),
                  static_cast<unsigned>(ceil_div(z.cells, kCellsTogether))),
             kThreads, 0, stream, data<T>(dmemory), data<T>(alpha), dcontext, data<int>(offsets),
             z);
  });
}

}  // namespace cuda
