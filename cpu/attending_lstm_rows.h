// Arithmetic of single rows of the attending LSTM (Show, Attend and Tell), forward and backward.
#pragma once
#include <cstdint>

namespace cpu {

// alpha [S] = softmax over cells of weight . relu(keys + query); keys [S, A].
void attend_row(float* alpha, const float* keys, const float* query, const float* weight, int cells,
                int attention);
// out[k] [F] = sum over cells of alpha[k] memory for n rows of one image; memory [S, F].
void weigh_cells(float* const* out, const float* const* alpha, int n, const float* memory,
                 int cells, int features);
// gate = sigmoid(product + bias), gated = gate context; [F].
void gate_row(float* gated, float* gate, const float* product, const float* bias,
              const float* context, int features);
// gates [4D]: sigmoid and tanh of products + inputs + bias; c [D] and h [D] become the new state.
void cell_row(float* h, float* c, float* gates, const float* products, const float* inputs,
              const float* bias, int hidden);

// dgates [4D], before sigmoid and tanh, of gates after them; dc [D], the gradient of `c`, becomes
// that of the cell before, `c_before`.
void cell_row_backward(float* dgates, float* dc, const float* dh, const float* gates,
                       const float* c, const float* c_before, int hidden);
// From dgated: dgate (before the sigmoid), dcontext, and gated once more.
void gate_row_backward(float* dgate, float* dcontext, float* gated, const float* dgated,
                       const float* gate, const float* context, int features);
// dalpha[k] [S] += memory dcontext[k] for n rows of one image.
void weigh_cells_backward(float* const* dalpha, const float* const* dcontext, int n,
                          const float* memory, int cells, int features);
// dscores [S], in place of dalpha, and dquery [A].
void attend_row_backward(float* dscores, float* dquery, const float* alpha, const float* keys,
                         const float* query, const float* weight, int cells, int attention);
// For one cell of an image: dkey [A] = weight sum over its n tokens of dscore where key + query is
// above 0, dweight [A] += sum of dscore relu(key + query). Scores lie `stride` apart.
void key_gradient(float* dkey, float* dweight, const float* key, const float* const* queries,
                  const float* dscores, int64_t stride, int n, const float* weight, int attention);

}  // namespace cpu
