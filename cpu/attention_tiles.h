// What attention does with tiles, matrices of one head that stay in the caches. Sizes are padded by
// zeros, so that no product has an edge: columns that become vectors to 16, rows to 4.
#pragma once
#include <cstdint>

namespace cpu {

constexpr int kLanes = 16;

inline int padded(int n, int to) { return (n + to - 1) / to * to; }

// Rows of one head into a tile: tile [padded rows, padded columns] = scale x.
void load_rows(float* tile, const float* x, int64_t stride, int rows, int columns, float scale);

// The way back: x = factors tile, the rows' factors `step` apart (0: one for all).
void store_rows(float* x, int64_t stride, const float* tile, const float* factors, int step,
                int rows, int columns);

// out [columns, lanes] = x [rows, columns] transposed, lanes beyond the rows zero; rows and columns
// in fours.
void transpose(float* out, int lanes, const float* x, int ldx, int rows, int columns);

// Scores are [keys, lanes], a query in each lane; lanes are whole vectors.

// Scores of keys from `first` on that a query does not see (key >= visible[query]) become
// -infinity.
void hide(float* scores, int lanes, int first, int keys, const int* visible);

// scores = exp(scores - maximum of the column); gives the maxima and the sums of the columns.
void exponentials(float* scores, int lanes, int keys, float* __restrict maxima,
                  float* __restrict sums);

// scores = exp(scores - log_sum_exp of the column): the probabilities once more.
void probabilities(float* scores, int lanes, int keys, const float* __restrict log_sum_exp);

void scale_by(float* x, const float* factors, int n);

// d loss / d scores = p (dp - sum over keys of p dp), from p and dp in place of dp.
void softmax_gradient(float* dp, const float* p, int lanes, int keys, float* __restrict sums);

}  // namespace cpu
