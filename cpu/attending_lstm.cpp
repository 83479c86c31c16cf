// The attending LSTM (Show, Attend and Tell): training's pass over packed captions, and one step of
// decoding, which is the same with captions of one token. How a step goes: attending_lstm_run.cpp;
// gradients: attending_lstm_backward.cpp.
#include "attending_lstm.h"

#include <algorithm>

#include "../binding/device.h"
#include "gemm.h"
#include "packed_product.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Scratch memory of a pass, which lays out the weights for itself.
struct PassParts {
  Parts parts;
  LstmWeights weights;
  float *words, *inputs;
  char* scratch;
  LstmWork work;

  PassParts(char* base, const LstmSizes& z, const LstmWeights& plain, int64_t tokens)
      : parts{base},
        weights(plain.placed(parts)),
        words(parts.floats(tokens * z.embedding)),
        inputs(parts.floats(tokens * z.gates())),
        scratch(parts.bytes(weights.pack_scratch())),
        work(parts, z, weights) {}
};

// Scratch memory of a step.
struct StepParts {
  Parts parts;
  LstmWork work;
  float *words, *inputs;  // with room for the surplus rows of a product

  StepParts(char* base, const LstmSizes& z, const LstmWeights& weights)
      : parts{base},
        work(parts, z, weights),
        words(parts.floats(int64_t{rounded_rows(z.rows)} * z.embedding)),
        inputs(parts.floats(int64_t{rounded_rows(z.rows)} * z.gates())) {}
};

}  // namespace

// ---------------------------------------------------------------------------------------------

void attending_lstm(Tensor hidden, Tensor alpha, Tensor query, Tensor context, Tensor gate,
                    Tensor gates, Tensor cells, Tensor x, Tensor memory, Tensor keys, Tensor h0,
                    Tensor c0, Tensor decoder_weight, Tensor decoder_bias, Tensor score_weight,
                    Tensor gate_weight, Tensor gate_bias, Tensor input_weight, Tensor input_bias,
                    Tensor hidden_weight, Tensor hidden_bias, Tensor offsets, int rows_per_key,
                    int longest, Stream& stream) {
  const LstmSizes z = lstm_sizes(x, memory, keys, h0, rows_per_key);
  const Schedule schedule(offsets, x.shape[0], longest);
  const int64_t tokens = schedule.tokens();
  if (tokens == 0) return;
  const LstmWeights weights(z, decoder_weight, gate_weight, input_weight, hidden_weight);
  const size_t bytes = PassParts(nullptr, z, weights, tokens).parts.used;
  const PassParts p(static_cast<char*>(stream.scratch(bytes)), z, weights, tokens);
  p.weights.pack(false, p.scratch);
  gather_rows(p.words, x.f32(), schedule.token.data(), tokens, z.embedding);
  check_gemm(gemm(Transpose::no, Transpose::yes, tokens, z.gates(), z.embedding, p.words,
                  z.embedding, input_weight.f32(), z.inputs(), 0.0f, p.inputs, z.gates()));
  for (int place = 0; place < z.rows; place++) {
    const int64_t from = int64_t{schedule.order[place] / rows_per_key} * z.hidden;
    const int64_t to = int64_t{place} * z.hidden;
    std::copy_n(h0.f32() + from, z.hidden, p.work.h + to);
    std::copy_n(c0.f32() + from, z.hidden, p.work.c + to);
  }
  run_lstm(hidden.f32(), alpha.f32(),
           {query.f32(), context.f32(), gate.f32(), gates.f32(), cells.f32()}, z, schedule,
           p.weights,
           {decoder_bias.f32(), score_weight.f32(), gate_bias.f32(), input_bias.f32(),
            hidden_bias.f32()},
           p.inputs, memory.f32(), keys.f32(), p.work);
}

void attending_lstm_pack(Tensor packed, Tensor decoder_weight, Tensor gate_weight,
                         Tensor input_weight, Tensor hidden_weight, Stream& stream) {
  LstmSizes z;
  z.attention = decoder_weight.shape[0];
  z.features = gate_weight.shape[0];
  z.hidden = hidden_weight.shape[1];
  z.embedding = input_weight.shape[1] - z.features;
  Parts parts{static_cast<char*>(packed.data)};
  const LstmWeights weights =
      LstmWeights(z, decoder_weight, gate_weight, input_weight, hidden_weight).placed(parts);
  weights.pack(true, stream.scratch(weights.pack_scratch()));
}

void attending_lstm_step(Tensor hidden, Tensor states, Tensor cells, Tensor x, Tensor memory,
                         Tensor keys, Tensor h0, Tensor c0, Tensor packed, Tensor decoder_weight,
                         Tensor decoder_bias, Tensor score_weight, Tensor gate_weight,
                         Tensor gate_bias, Tensor input_weight, Tensor input_bias,
                         Tensor hidden_weight, Tensor hidden_bias, Tensor ancestors,
                         int rows_per_key, int position, Stream& stream) {
  const LstmSizes z = lstm_sizes(x, memory, keys, h0, rows_per_key);
  if (z.rows == 0) return;
  const LstmWeights plain(z, decoder_weight, gate_weight, input_weight, hidden_weight);
  Parts packed_parts{static_cast<char*>(packed.data)};
  const LstmWeights weights = packed ? plain.placed(packed_parts) : plain;
  const size_t bytes = StepParts(nullptr, z, weights).parts.used;
  const StepParts p(static_cast<char*>(stream.scratch(bytes)), z, weights);

  const int64_t half = int64_t{z.rows} * z.hidden;
  const int64_t before = (position + 1) % 2 * half;
  const auto parent = [&](int row) {
    if (position == 0) return row / rows_per_key;
    return ancestors ? ancestors.i32()[int64_t{row} * ancestors.shape[1] + position - 1] : row;
  };
  const float* h = position == 0 ? h0.f32() : states.f32() + before;
  const float* c = position == 0 ? c0.f32() : cells.f32() + before;
  for (int row = 0; row < z.rows; row++) {
    const int64_t from = int64_t{parent(row)} * z.hidden;
    std::copy_n(h + from, z.hidden, p.work.h + int64_t{row} * z.hidden);
    std::copy_n(c + from, z.hidden, p.work.c + int64_t{row} * z.hidden);
  }
  std::copy_n(x.f32(), int64_t{z.rows} * z.embedding, p.words);
  weights.words.multiply(p.inputs, p.words, z.rows, false, p.work.scratch);
  run_lstm(hidden.f32(), nullptr, {}, z, Schedule(z.rows), weights,
           {decoder_bias.f32(), score_weight.f32(), gate_bias.f32(), input_bias.f32(),
            hidden_bias.f32()},
           p.inputs, memory.f32(), keys.f32(), p.work);
  const int64_t now = position % 2 * half;
  std::copy_n(hidden.f32(), half, states.f32() + now);
  std::copy_n(p.work.c, half, cells.f32() + now);
}

}  // namespace cpu
