// What the files of the attending LSTM share: sizes, the order in which tokens are worked on, the
// weights as they are laid out, and the run through time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../binding/tensor.h"

namespace cpu {

struct LstmSizes {
  int rows = 0, rows_per_key = 0, images = 0;
  int cells = 0;      // S
  int features = 0;   // F
  int attention = 0;  // A
  int hidden = 0;     // D
  int embedding = 0;  // E

  int gates() const { return 4 * hidden; }
  int inputs() const { return embedding + features; }  // columns of input_weight
};

LstmSizes lstm_sizes(Tensor x, Tensor memory, Tensor keys, Tensor h0, int rows_per_key);

// Tokens by time: those of step t, one of each caption that is so long, are slots start[t] ..
// start[t] + count[t]. Longer captions come first, so that the captions of a step are the first of
// the step before: their states stay where they are.
struct Schedule {
  std::vector<int> start, count;  // of each step
  std::vector<int> order, place;  // row at a place, place of a row
  std::vector<int> token;         // packed index of a slot
  std::vector<int> slot;          // and back

  // Throws ArgumentError unless offsets rise from 0 to the number of tokens by at most `longest`.
  Schedule(Tensor offsets, int64_t tokens, int longest);
  // So many rows of one token each.
  explicit Schedule(int rows);
  int steps() const { return static_cast<int>(count.size()); }
  int64_t tokens() const { return static_cast<int64_t>(token.size()); }
};

// Calls body(image, places, n) for every image on the threads: `places` are those of its n rows
// that are alive at `step`.
template <class Body>
void for_each_image(const Schedule& schedule, int step, const LstmSizes& sizes, Body body) {
  const int alive = schedule.count[step];
#pragma omp parallel
  {
    std::vector<int> places(sizes.rows_per_key);
#pragma omp for schedule(dynamic, 1)
    for (int image = 0; image < sizes.images; image++) {
      int n = 0;
      for (int k = 0; k < sizes.rows_per_key; k++) {
        const int place = schedule.place[image * sizes.rows_per_key + k];
        if (place < alive) places[n++] = place;
      }
      if (n > 0) body(image, places.data(), n);
    }
  }
}

// Hands out 64-byte aligned parts of one block; without a base it only counts.
struct Parts {
  char* base;
  size_t used = 0;

  char* bytes(size_t size) {
    char* part = base ? base + used : nullptr;
    used += (size + 63) / 64 * 64;
    return part;
  }
  float* floats(int64_t count) {
    return reinterpret_cast<float*>(bytes(sizeof(float) * static_cast<size_t>(count)));
  }
};

// A weight [outputs, inputs] and, where it is laid out for products with few rows, that layout.
struct LstmWeight {
  const float* plain;
  int64_t stride;  // elements from row to row
  int outputs, inputs;
  bool laid_out = false;
  void* packed = nullptr;

  size_t scratch_bytes(int rows) const;
  // y [rows, outputs] = x [rows, inputs] weight^T, or +=. There is room for rounded_rows(rows).
  void multiply(float* y, const float* x, int rows, bool accumulate, void* scratch) const;
};

// The weights of the products of a step. `words` is that part of input_weight which meets the word,
// `context` that which meets the image.
struct LstmWeights {
  LstmWeight decoder, gate, hidden, words, context;

  LstmWeights(const LstmSizes& sizes, Tensor decoder_weight, Tensor gate_weight,
              Tensor input_weight, Tensor hidden_weight);
  // The same, laid out or to be, in a block of memory.
  LstmWeights placed(Parts& parts) const;
  size_t pack_scratch() const;
  // Lays them out; `words` only if wanted.
  void pack(bool with_words, void* scratch) const;
};

// The vectors among the weights.
struct LstmBiases {
  const float *decoder, *score, *gate, *input, *hidden;
};

// Where tokens' results go, by slot. Null: nobody wants them.
struct LstmKept {
  float *query = nullptr, *context = nullptr, *gate = nullptr, *gates = nullptr, *cells = nullptr;
};

// What one step works on, by place; h and c are the states.
struct LstmWork {
  float *query_products, *gate_products, *products;
  float *query, *context, *gate, *gates, *gated;
  float *h, *c, *alpha, *bias;
  void* scratch;

  LstmWork(Parts& parts, const LstmSizes& sizes, const LstmWeights& weights);
};

// All steps, from the states in `work` on. inputs [N, 4D] by slot: the words' part of the gates.
// hidden [N, D] and alpha(?) [N, S] by token.
void run_lstm(float* hidden, float* alpha, const LstmKept& kept, const LstmSizes& sizes,
              const Schedule& schedule, const LstmWeights& weights, const LstmBiases& biases,
              const float* inputs, const float* memory, const float* keys, const LstmWork& work);

// out [n, width] = the rows of x that `index` names.
void gather_rows(float* out, const float* x, const int* index, int64_t n, int width);

}  // namespace cpu
