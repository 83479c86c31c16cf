// Gradients of the attending LSTM. Through time only what the step before needs is computed; the
// gradients of weights, keys and image cells follow as large products over all tokens.
#include <algorithm>

#include "../binding/device.h"
#include "attending_lstm.h"
#include "attending_lstm_rows.h"
#include "gemm.h"
#include "packed_product.h"
#include "rows.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Scratch memory. By slot, with room for the surplus rows of a product: gradients before sigmoid
// and tanh, and the right sides of the weights' gradients. By token: dcontext, dscores.
struct BackwardParts {
  Parts parts;
  char *context, *hidden, *gate, *decoder;  // weights transposed, laid out
  float *dgates, *dgate, *dquery;
  float *gated, *previous, *words;
  float *dcontext, *dscores;
  float *dgated, *dh, *dc;  // by place
  float *dkey, *dscore;     // by image
  char* scratch;

  BackwardParts(char* base, const LstmSizes& z, int64_t tokens) : parts{base} {
    const int rows = rounded_rows(z.rows);
    const int64_t slots = tokens + rows;
    context = parts.bytes(packed_bytes(z.features, z.gates()));
    hidden = parts.bytes(packed_bytes(z.hidden, z.gates()));
    gate = parts.bytes(packed_bytes(z.hidden, z.features));
    decoder = parts.bytes(packed_bytes(z.hidden, z.attention));
    dgates = parts.floats(slots * z.gates());
    dgate = parts.floats(slots * z.features);
    dquery = parts.floats(slots * z.attention);
    gated = parts.floats(tokens * z.features);
    previous = parts.floats(tokens * z.hidden);
    words = parts.floats(tokens * z.embedding);
    dcontext = parts.floats(tokens * z.features);
    dscores = parts.floats(tokens * z.cells);
    dgated = parts.floats(int64_t{rows} * z.features);
    dh = parts.floats(int64_t{rows} * z.hidden);
    dc = parts.floats(int64_t{rows} * z.hidden);
    dkey = parts.floats(int64_t{z.images} * z.attention);
    dscore = parts.floats(int64_t{z.images} * z.attention);
    scratch = parts.bytes(std::max({pack_scratch(z.features, z.gates(), 1, z.inputs()),
                                    pack_scratch(z.hidden, z.gates(), 1, z.hidden),
                                    pack_scratch(z.hidden, z.features, 1, z.hidden),
                                    pack_scratch(z.hidden, z.attention, 1, z.hidden),
                                    multiply_scratch(rows, z.features, z.gates()),
                                    multiply_scratch(rows, z.hidden, z.gates()),
                                    multiply_scratch(rows, z.hidden, z.features),
                                    multiply_scratch(rows, z.hidden, z.attention)}));
  }
};

// sums [n] = sums over the rows of x.
void column_sums(Tensor sums, const float* x, int64_t rows) {
  if (!sums) return;
  constexpr int64_t kWidth = 256;
  const int64_t n = sums.size();
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < n; first += kWidth) {
    const int64_t width = std::min(kWidth, n - first);
    std::fill_n(sums.f32() + first, width, 0.0f);
    add_rows(sums.f32() + first, x + first, rows, width, n);
  }
}

// dweight [m, n], a row every `stride` elements, = gradients^T x over all slots.
void weight_gradient(Tensor dweight, int64_t column, const float* gradients, int m, const float* x,
                     int n, int64_t slots) {
  if (!dweight) return;
  check_gemm(gemm(Transpose::yes, Transpose::no, m, n, slots, gradients, m, x, n, 0.0f,
                  dweight.f32() + column, dweight.columns()));
}

// dstate0 [B, D] = sums over the rows of each image, those that have tokens.
void sum_rows_of_images(Tensor dstate0, const float* dstate, const LstmSizes& z,
                        const Schedule& schedule) {
  if (!dstate0) return;
  std::fill_n(dstate0.f32(), dstate0.size(), 0.0f);
  for (int row = 0; row < z.rows; row++) {
    const int place = schedule.place[row];
    if (schedule.steps() == 0 || place >= schedule.count[0]) continue;
    add_rows(dstate0.f32() + int64_t{row / z.rows_per_key} * z.hidden,
             dstate + int64_t{place} * z.hidden, 1, z.hidden, z.hidden);
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

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
  const LstmSizes z = lstm_sizes(x, memory, keys, h0, rows_per_key);
  const Schedule schedule(offsets, x.shape[0], longest);
  const int64_t tokens = schedule.tokens();
  const size_t bytes = BackwardParts(nullptr, z, tokens).parts.used;
  const BackwardParts p(static_cast<char*>(stream.scratch(bytes)), z, tokens);

  pack(p.context, input_weight.f32() + z.embedding, z.features, z.gates(), 1, z.inputs(),
       p.scratch);
  pack(p.hidden, hidden_weight.f32(), z.hidden, z.gates(), 1, z.hidden, p.scratch);
  pack(p.gate, gate_weight.f32(), z.hidden, z.features, 1, z.hidden, p.scratch);
  pack(p.decoder, decoder_weight.f32(), z.hidden, z.attention, 1, z.hidden, p.scratch);
  std::fill_n(p.dc, int64_t{z.rows} * z.hidden, 0.0f);

  for (int step = schedule.steps() - 1; step >= 0; step--) {
    const int64_t start = schedule.start[step];
    const int count = schedule.count[step];
    const int later = step + 1 < schedule.steps() ? schedule.count[step + 1] : 0;
    const int* tokens_of = schedule.token.data() + start;
#pragma omp parallel for schedule(static)
    for (int place = 0; place < count; place++) {
      const int64_t slot = start + place;
      const int64_t token = tokens_of[place];
      const int64_t state0 = int64_t{schedule.order[place] / rows_per_key} * z.hidden;
      float* dh = p.dh + int64_t{place} * z.hidden;
      if (place >= later) std::fill_n(dh, z.hidden, 0.0f);
      add_rows(dh, dhidden.f32() + token * z.hidden, 1, z.hidden, z.hidden);
      const float* c_before =
          step == 0 ? c0.f32() + state0
                    : cells.f32() + int64_t{schedule.start[step - 1] + place} * z.hidden;
      const float* h_before = step == 0 ? h0.f32() + state0 : hidden.f32() + (token - 1) * z.hidden;
      cell_row_backward(p.dgates + slot * z.gates(), p.dc + int64_t{place} * z.hidden, dh,
                        gates.f32() + slot * z.gates(), cells.f32() + slot * z.hidden, c_before,
                        z.hidden);
      std::copy_n(h_before, z.hidden, p.previous + slot * z.hidden);
    }
    const auto multiply = [&](float* y, const float* gradients, const void* weight, int outputs,
                              int inner, bool accumulate) {
      multiply_packed(y, gradients + start * inner, weight, rounded_rows(count), outputs, inner,
                      accumulate, p.scratch);
    };
    multiply(p.dgated, p.dgates, p.context, z.features, z.gates(), false);
    for_each_image(schedule, step, z, [&](int image, const int* places, int n) {
      std::vector<float*> dshares(n), dcontexts(n);
      for (int k = 0; k < n; k++) {
        const int64_t at = (start + places[k]) * z.features;
        const int64_t token = tokens_of[places[k]];
        dcontexts[k] = p.dcontext + token * z.features;
        dshares[k] = p.dscores + token * z.cells;
        gate_row_backward(p.dgate + at, dcontexts[k], p.gated + at,
                          p.dgated + int64_t{places[k]} * z.features, gate.f32() + at,
                          context.f32() + at, z.features);
        std::copy_n(dalpha.f32() + token * z.cells, z.cells, dshares[k]);
      }
      weigh_cells_backward(dshares.data(), dcontexts.data(), n,
                           memory.f32() + int64_t{image} * z.cells * z.features, z.cells,
                           z.features);
      for (int k = 0; k < n; k++) {
        const int64_t at = (start + places[k]) * z.attention;
        attend_row_backward(dshares[k], p.dquery + at,
                            alpha.f32() + int64_t{tokens_of[places[k]]} * z.cells,
                            keys.f32() + int64_t{image} * z.cells * z.attention, query.f32() + at,
                            score_weight.f32(), z.cells, z.attention);
      }
    });
    multiply(p.dh, p.dgates, p.hidden, z.hidden, z.gates(), false);
    multiply(p.dh, p.dgate, p.gate, z.hidden, z.features, true);
    multiply(p.dh, p.dquery, p.decoder, z.hidden, z.attention, true);
  }

  sum_rows_of_images(dh0, p.dh, z, schedule);
  sum_rows_of_images(dc0, p.dc, z, schedule);
  column_sums(ddecoder_bias, p.dquery, tokens);
  column_sums(dgate_bias, p.dgate, tokens);
  column_sums(dinput_bias, p.dgates, tokens);
  column_sums(dhidden_bias, p.dgates, tokens);
  weight_gradient(ddecoder_weight, 0, p.dquery, z.attention, p.previous, z.hidden, tokens);
  weight_gradient(dgate_weight, 0, p.dgate, z.features, p.previous, z.hidden, tokens);
  weight_gradient(dhidden_weight, 0, p.dgates, z.gates(), p.previous, z.hidden, tokens);
  if (dinput_weight) {
    gather_rows(p.words, x.f32(), schedule.token.data(), tokens, z.embedding);
    weight_gradient(dinput_weight, 0, p.dgates, z.gates(), p.words, z.embedding, tokens);
    weight_gradient(dinput_weight, z.embedding, p.dgates, z.gates(), p.gated, z.features, tokens);
  }
  if (dx) {
    check_gemm(gemm(Transpose::no, Transpose::no, tokens, z.embedding, z.gates(), p.dgates,
                    z.gates(), input_weight.f32(), z.inputs(), 0.0f, p.words, z.embedding));
    gather_rows(dx.f32(), p.words, schedule.slot.data(), tokens, z.embedding);
  }

  int status = 0;
#pragma omp parallel for schedule(dynamic, 1) reduction(max : status)
  for (int image = 0; image < z.images; image++) {
    const int64_t first = offsets.i32()[image * rows_per_key];
    const int n = offsets.i32()[(image + 1) * rows_per_key] - static_cast<int>(first);
    const int64_t cell0 = int64_t{image} * z.cells;
    std::vector<const float*> queries(n);
    for (int k = 0; k < n; k++)
      queries[k] = query.f32() + int64_t{schedule.slot[first + k]} * z.attention;
    float* dscore = p.dscore + int64_t{image} * z.attention;
    std::fill_n(dscore, z.attention, 0.0f);
    for (int s = 0; s < z.cells; s++) {
      const int64_t at = (cell0 + s) * z.attention;
      key_gradient(dkeys ? dkeys.f32() + at : p.dkey + int64_t{image} * z.attention, dscore,
                   keys.f32() + at, queries.data(), p.dscores + first * z.cells + s, z.cells, n,
                   score_weight.f32(), z.attention);
    }
    if (dmemory)
      status = std::max(
          status, gemm(Transpose::yes, Transpose::no, z.cells, z.features, n,
                       alpha.f32() + first * z.cells, z.cells, p.dcontext + first * z.features,
                       z.features, 0.0f, dmemory.f32() + cell0 * z.features, z.features));
  }
  check_gemm(status);
  column_sums(dscore_weight, p.dscore, z.images);
}

}  // namespace cpu
