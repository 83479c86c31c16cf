// The attending LSTM's way through time. At each step the products run over the captions that are
// still alive, with weights laid out once; what lies between them runs image by image, so that the
// captions of one image read its cells together. Bound by the products.
#include <algorithm>
#include <cstring>

#include "../binding/errors.h"
#include "attending_lstm.h"
#include "attending_lstm_rows.h"
#include "divided_product.h"
#include "packed_product.h"

namespace cpu {

LstmSizes lstm_sizes(Tensor x, Tensor memory, Tensor keys, Tensor h0, int rows_per_key) {
  LstmSizes z;
  z.images = h0.shape[0];
  z.rows_per_key = rows_per_key;
  z.rows = z.images * rows_per_key;
  z.cells = z.images > 0 ? memory.shape[0] / z.images : 0;
  z.features = memory.shape[1];
  z.attention = keys.shape[1];
  z.hidden = h0.shape[1];
  z.embedding = x.shape[1];
  return z;
}

namespace {

// As kernels.h says of attending_lstm_pack.
size_t room(int outputs, int inputs) {
  const auto whole = [](int size) { return (static_cast<size_t>(size) + 63) / 64 * 64; };
  const size_t bytes = sizeof(float) * whole(outputs) * whole(inputs);
  if (packed_bytes(outputs, inputs) > bytes)
    throw InternalError("attendingLstm: oneDNN lays out a weight in more room than expected");
  return bytes;
}

}  // namespace

size_t LstmWeight::scratch_bytes(int rows) const {
  return laid_out ? multiply_scratch(rounded_rows(rows), outputs, inputs) : 0;
}

void LstmWeight::multiply(float* y, const float* x, int rows, bool accumulate,
                          void* scratch) const {
  if (laid_out)
    multiply_packed(y, x, packed, rounded_rows(rows), outputs, inputs, accumulate, scratch);
  else
    multiply_divided({y, outputs, x, inputs, plain, stride, rows, outputs, inputs, accumulate},
                     [](const Part&) {});
}

LstmWeights::LstmWeights(const LstmSizes& z, Tensor decoder_weight, Tensor gate_weight,
                         Tensor input_weight, Tensor hidden_weight)
    : decoder{decoder_weight.f32(), z.hidden, z.attention, z.hidden},
      gate{gate_weight.f32(), z.hidden, z.features, z.hidden},
      hidden{hidden_weight.f32(), z.hidden, z.gates(), z.hidden},
      words{input_weight.f32(), z.inputs(), z.gates(), z.embedding},
      context{input_weight.f32() + z.embedding, z.inputs(), z.gates(), z.features} {}

LstmWeights LstmWeights::placed(Parts& parts) const {
  LstmWeights copy = *this;
  for (LstmWeight* w : {&copy.decoder, &copy.gate, &copy.hidden, &copy.words, &copy.context}) {
    w->laid_out = true;
    w->packed = parts.bytes(room(w->outputs, w->inputs));
  }
  return copy;
}

size_t LstmWeights::pack_scratch() const {
  size_t most = 0;
  for (const LstmWeight* w : {&decoder, &gate, &hidden, &words, &context})
    most = std::max(most, cpu::pack_scratch(w->outputs, w->inputs, w->stride, 1));
  return most;
}

void LstmWeights::pack(bool with_words, void* scratch) const {
  for (const LstmWeight* w : {&decoder, &gate, &hidden, &words, &context})
    if (w != &words || with_words)
      cpu::pack(w->packed, w->plain, w->outputs, w->inputs, w->stride, 1, scratch);
}

LstmWork::LstmWork(Parts& parts, const LstmSizes& z, const LstmWeights& weights) {
  const int64_t rows = rounded_rows(z.rows);
  query_products = parts.floats(rows * z.attention);
  gate_products = parts.floats(rows * z.features);
  products = parts.floats(rows * z.gates());
  query = parts.floats(rows * z.attention);
  context = parts.floats(rows * z.features);
  gate = parts.floats(rows * z.features);
  gates = parts.floats(rows * z.gates());
  gated = parts.floats(rows * z.features);
  h = parts.floats(rows * z.hidden);
  c = parts.floats(rows * z.hidden);
  alpha = parts.floats(rows * z.cells);
  bias = parts.floats(z.gates());
  size_t most = 0;
  for (const LstmWeight* w :
       {&weights.decoder, &weights.gate, &weights.hidden, &weights.words, &weights.context})
    most = std::max(most, w->scratch_bytes(z.rows));
  scratch = parts.bytes(most);
}

void run_lstm(float* hidden, float* alpha, const LstmKept& kept, const LstmSizes& z,
              const Schedule& schedule, const LstmWeights& weights, const LstmBiases& biases,
              const float* inputs, const float* memory, const float* keys, const LstmWork& work) {
  for (int i = 0; i < z.gates(); i++) work.bias[i] = biases.input[i] + biases.hidden[i];
  for (int step = 0; step < schedule.steps(); step++) {
    const int64_t start = schedule.start[step];
    const int count = schedule.count[step];
    const int* tokens = schedule.token.data() + start;
    // Where a place's result is kept, or the place to work on it.
    const auto row = [&](float* keep, float* here, int64_t place, int width) {
      return keep ? keep + (start + place) * width : here + place * width;
    };
    weights.decoder.multiply(work.query_products, work.h, count, false, work.scratch);
    weights.gate.multiply(work.gate_products, work.h, count, false, work.scratch);
    weights.hidden.multiply(work.products, work.h, count, false, work.scratch);
    for_each_image(schedule, step, z, [&](int image, const int* places, int n) {
      std::vector<float*> contexts(n), shares(n);
      for (int k = 0; k < n; k++) {
        const int64_t place = places[k];
        float* query = row(kept.query, work.query, place, z.attention);
        const float* product = work.query_products + place * z.attention;
        for (int a = 0; a < z.attention; a++) query[a] = product[a] + biases.decoder[a];
        shares[k] = alpha ? alpha + int64_t{tokens[place]} * z.cells : work.alpha + place * z.cells;
        attend_row(shares[k], keys + int64_t{image} * z.cells * z.attention, query, biases.score,
                   z.cells, z.attention);
        contexts[k] = row(kept.context, work.context, place, z.features);
      }
      weigh_cells(contexts.data(), shares.data(), n, memory + int64_t{image} * z.cells * z.features,
                  z.cells, z.features);
      for (int k = 0; k < n; k++) {
        const int64_t at = int64_t{places[k]} * z.features;
        gate_row(work.gated + at, row(kept.gate, work.gate, places[k], z.features),
                 work.gate_products + at, biases.gate, contexts[k], z.features);
      }
    });
    weights.context.multiply(work.products, work.gated, count, true, work.scratch);
#pragma omp parallel for schedule(static)
    for (int place = 0; place < count; place++) {
      const int64_t at = int64_t{place} * z.hidden;
      const int64_t slot = start + place;
      cell_row(work.h + at, work.c + at, row(kept.gates, work.gates, place, z.gates()),
               work.products + 4 * at, inputs + slot * z.gates(), work.bias, z.hidden);
      std::copy_n(work.h + at, z.hidden, hidden + int64_t{tokens[place]} * z.hidden);
      if (kept.cells) std::copy_n(work.c + at, z.hidden, kept.cells + slot * z.hidden);
    }
  }
}

void gather_rows(float* out, const float* x, const int* index, int64_t n, int width) {
#pragma omp parallel for schedule(static) if (n * width > 32768)
  for (int64_t i = 0; i < n; i++)
    std::copy_n(x + int64_t{index[i]} * width, width, out + i * width);
}

}  // namespace cpu
