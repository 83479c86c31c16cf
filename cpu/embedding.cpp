// Rows of a token table plus rows of a position table, and the sums of their gradients. Bound by
// memory bandwidth.
#include <algorithm>
#include <string>

#include "../binding/device.h"
#include "../binding/errors.h"
#include "../binding/tensor.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// Ids come from the user's data and are known on the device only, so they are checked here.
void check_ids(const char* what, Tensor ids, int count) {
  for (int64_t i = 0; i < ids.size(); i++) {
    const int id = ids.i32()[i];
    if (id < 0 || id >= count)
      throw ArgumentError(std::string("expected ") + what + " from 0 to " +
                          std::to_string(count - 1) + ", received " + std::to_string(id) +
                          " at index " + std::to_string(i));
  }
}

// position may be null.
SIMD void embed_row(float* out, const float* token, const float* position, float scale, int64_t n) {
  if (position) {
    for (int64_t i = 0; i < n; i++) out[i] = scale * token[i] + position[i];
  } else {
    for (int64_t i = 0; i < n; i++) out[i] = scale * token[i];
  }
}

// Columns begin .. end of out [ids[row]] += scale dout[row], in the order of the rows.
SIMD void scatter_columns(float* out, const int32_t* ids, const float* dout, float scale,
                          int64_t rows, int64_t n, int64_t begin, int64_t end) {
  for (int64_t row = 0; row < rows; row++) {
    float* to = out + ids[row] * n;
    const float* from = dout + row * n;
    for (int64_t i = begin; i < end; i++) to[i] += scale * from[i];
  }
}

// Threads share the columns, so that each sum keeps its order.
void scatter(Tensor out, Tensor ids, Tensor dout, float scale) {
  constexpr int64_t kColumns = 64;
  const int64_t n = dout.columns();
  const int64_t size = out.size();
  constexpr int64_t kPiece = 65536;
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < size; start += kPiece)
    std::fill_n(out.f32() + start, std::min(kPiece, size - start), 0.0f);
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < n; begin += kColumns)
    scatter_columns(out.f32(), ids.i32(), dout.f32(), scale, ids.size(), n, begin,
                    std::min(n, begin + kColumns));
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void embedding(Tensor out, Tensor tokens, Tensor positions, Tensor token_weight,
               Tensor position_weight, float scale, Stream&) {
  const int64_t n = out.columns();
  const int64_t rows = tokens.size();
  check_ids("tokens", tokens, token_weight.shape[0]);
  if (positions) check_ids("positions", positions, position_weight.shape[0]);
#pragma omp parallel for schedule(static) if (out.size() > 32768)
  for (int64_t row = 0; row < rows; row++)
    embed_row(out.f32() + row * n, token_weight.f32() + tokens.i32()[row] * n,
              positions ? position_weight.f32() + positions.i32()[row] * n : nullptr, scale, n);
}

void embedding_backward(Tensor dtoken_weight, Tensor dposition_weight, Tensor dout, Tensor tokens,
                        Tensor positions, float scale, Stream&) {
  if (dtoken_weight) scatter(dtoken_weight, tokens, dout, scale);
  if (dposition_weight) scatter(dposition_weight, positions, dout, 1.0f);
}

}  // namespace cpu
