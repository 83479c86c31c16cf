// The vocabulary layer with its loss. The logits of some rows at a time live in scratch memory, of
// the operands' dtype and small enough to stay in the L2 cache, become their own gradient in place,
// and feed the products of dx and dweight. Bound by the three products (gemm/). Label smoothing:
// Szegedy et al. 2016, arXiv:1512.00567, section 7.
#include "device/reduce.cuh"
#include "device/vector.cuh"
#include "gemm/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int64_t kChunkBytes = int64_t{32} << 20;  // of logits
constexpr int64_t kMostRows = 2048;
constexpr int64_t kTileRows = 128;  // of the products
constexpr int kSumThreads = 512;

struct LossOptions {
  const int* targets;
  const float* token_weights;  // null: all 1
  const float* denominator;    // null without gradients
  int ignore_index;
  float label_smoothing;
};

// Calls body(column, values) for the thread's groups of N columns of a row, whose address is
// aligned; the last group's values beyond `columns` are 0 and must not count. With `writes` the
// values are stored afterwards.
template <int threads, bool writes, class T, class Body>
DEVICE void each_group(T* row, int columns, Body body) {
  constexpr int N = kVector<T>;
  for (int column = static_cast<int>(threadIdx.x) * N; column < columns; column += threads * N) {
    float values[N];
    if (column + N <= columns) {
      load(values, row + column);
      body(column, values);
      if constexpr (writes) store(row + column, values);
    } else {
#pragma unroll
      for (int j = 0; j < N; j++)
        values[j] = column + j < columns ? to_float(row[column + j]) : 0.0f;
      body(column, values);
      if constexpr (writes) {
#pragma unroll
        for (int j = 0; j < N; j++)
          if (column + j < columns) row[column + j] = from_float<T>(values[j]);
      }
    }
  }
}

// Cross-entropy of each row of logits [rows, columns] against (1 - smoothing) at the target plus
// smoothing / columns everywhere, times the token's weight. With a denominator the logits become
// the gradient of the sum of the losses divided by it. losses and ranks are of these rows; ranks
// may be null. A target that is no class gives NaN, so that the mistake is seen further on.
template <class T, int threads>
__global__ void __launch_bounds__(threads)
    loss_kernel(float* losses, int* ranks, T* logits, int64_t row_stride, int columns,
                LossOptions with) {
  constexpr int N = kVector<T>;
  T* row = logits + blockIdx.x * row_stride;
  const int target = with.targets[blockIdx.x];
  if (target == with.ignore_index) {
    if (with.denominator) {
      each_group<threads, true>(row, columns, [](int, float(&v)[N]) {
#pragma unroll
        for (int j = 0; j < N; j++) v[j] = 0.0f;
      });
    }
    if (threadIdx.x == 0) {
      losses[blockIdx.x] = 0.0f;
      if (ranks) ranks[blockIdx.x] = -1;
    }
  } else {
    const float at_target = target >= 0 && target < columns ? to_float(row[target]) : NAN;
    float largest = -INFINITY;
    float total = 0.0f;
    float larger = 0.0f;
    each_group<threads, false>(row, columns, [&](int column, float(&v)[N]) {
#pragma unroll
      for (int j = 0; j < N; j++) {
        if (column + j >= columns) continue;
        largest = fmaxf(largest, v[j]);
        total += v[j];
        larger += v[j] > at_target ? 1.0f : 0.0f;
      }
    });
    largest = block_max<threads>(largest);
    total = block_sum<threads>(total);
    larger = block_sum<threads>(larger);
    float sum = 0.0f;
    each_group<threads, false>(row, columns, [&](int column, float(&v)[N]) {
#pragma unroll
      for (int j = 0; j < N; j++) sum += column + j < columns ? expf(v[j] - largest) : 0.0f;
    });
    sum = block_sum<threads>(sum);
    const float smoothing = with.label_smoothing;
    const float share = 1.0f / static_cast<float>(columns);
    const float weight = with.token_weights ? with.token_weights[blockIdx.x] : 1.0f;
    if (with.denominator) {
      const float gradient_scale = at_target == at_target ? weight / with.denominator[0] : NAN;
      const float scale = gradient_scale / sum;
      const float everywhere = gradient_scale * smoothing * share;
      const float there = gradient_scale * (1.0f - smoothing);
      each_group<threads, true>(row, columns, [&](int column, float(&v)[N]) {
#pragma unroll
        for (int j = 0; j < N; j++)
          v[j] = expf(v[j] - largest) * scale - everywhere - (column + j == target ? there : 0.0f);
      });
    }
    if (threadIdx.x == 0) {
      losses[blockIdx.x] = weight * (largest + logf(sum) - (1.0f - smoothing) * at_target -
                                     smoothing * share * total);
      if (ranks) ranks[blockIdx.x] = static_cast<int>(larger);
    }
  }
}

// loss = the sum of losses [rows] / denominator. One block.
__global__ void __launch_bounds__(kSumThreads)
    mean_loss_kernel(float* loss, const float* losses, const float* denominator, int64_t rows) {
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < rows; i += kSumThreads) sum += losses[i];
  sum = block_sum<kSumThreads>(sum);
  if (threadIdx.x == 0) loss[0] = sum / denominator[0];
}

// Rows of a chunk: whole tiles whose logits fit the cache, about as many in each chunk.
int64_t chunk_rows(int64_t rows, int64_t row_bytes) {
  const int64_t fitting = kChunkBytes / row_bytes / kTileRows * kTileRows;
  const int64_t most = std::min(kMostRows, std::max(kTileRows, fitting));
  const int64_t chunks = std::max<int64_t>(1, ceil_div(rows, most));
  return ceil_div(ceil_div(rows, chunks), kTileRows) * kTileRows;
}

void launch_loss(float* losses, int* ranks, void* logits, Dtype dtype, int64_t row_stride,
                 int64_t rows, int columns, const LossOptions& with, Stream& stream) {
  const auto run = [&]<class T>(T) {
    constexpr int few = 128;
    constexpr int many = 512;
    const bool long_rows = columns > 2048;
    launch(long_rows ? loss_kernel<T, many> : loss_kernel<T, few>, static_cast<unsigned>(rows),
           long_rows ? many : few, 0, stream, losses, ranks, static_cast<T*>(logits), row_stride,
           columns, with);
  };
  dtype == Dtype::bfloat16 ? run(bf16{}) : run(float{});
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void linear_cross_entropy(Tensor loss, Tensor token_loss, Tensor rank, Tensor dx, Tensor dweight,
                          Tensor dbias, Tensor x, Tensor weight, Tensor bias, Tensor targets,
                          Tensor token_weights, Tensor denominator, int ignore_index,
                          float label_smoothing, Stream& stream) {
  const int64_t rows = targets.size();
  const int channels = x.columns();
  const int columns = weight.shape[0];
  const Dtype dtype = x.dtype;
  const int64_t bytes = bytes_of(dtype);
  const int64_t row_stride = ceil_div<int64_t>(columns, 16) * 16;  // rows begin aligned
  const int64_t chunk = std::min(rows, chunk_rows(rows, row_stride * bytes));
  const int64_t chunks = rows == 0 ? 0 : ceil_div(rows, chunk);
  const auto scratch = [&](int64_t size) { return stream.scratch(static_cast<size_t>(size)); };
  if (rows == 0 && dweight) fill(dweight, 0.0f, stream);
  if (rows == 0 && dbias) fill(dbias, 0.0f, stream);

  void* logits = scratch(chunk * row_stride * bytes);
  float* losses = token_loss ? data<float>(token_loss) : static_cast<float*>(scratch(rows * 4));
  // Sums of each chunk, then of the chunks.
  float* dbias_sums = data<float>(dbias);
  if (dbias && chunks > 1) dbias_sums = static_cast<float*>(scratch(chunks * columns * 4));

  const bool gradients = dx || dweight || dbias;
  LossOptions with{nullptr, nullptr, gradients ? data<float>(denominator) : nullptr, ignore_index,
                   label_smoothing};
  for (int64_t i = 0; i < chunks; i++) {
    const int64_t first = i * chunk;
    const int count = static_cast<int>(std::min(chunk, rows - first));
    const char* x_rows = data<char>(x) + first * channels * bytes;
    gemm(logits, dtype, row_stride, count, columns, channels, dtype, {x_rows, channels, true},
         {weight.data, channels, true}, {.bias = data<float>(bias)}, stream);
    with.targets = data<int>(targets) + first;
    if (token_weights) with.token_weights = data<float>(token_weights) + first;
    launch_loss(losses + first, rank ? data<int>(rank) + first : nullptr, logits, dtype, row_stride,
                count, columns, with, stream);
    if (dx)
      gemm(data<char>(dx) + first * channels * bytes, dtype, channels, count, channels, columns,
           dtype, {logits, row_stride, true}, {weight.data, channels, false}, {}, stream);
    if (dweight)
      gemm(dweight.data, Dtype::float32, channels, columns, channels, count, dtype,
           {logits, row_stride, false}, {x_rows, channels, false}, {.accumulate = i > 0}, stream);
    if (dbias)
      column_sums(dbias_sums + (chunks > 1 ? i * columns : 0), logits, dtype, count, columns,
                  row_stride, stream);
  }
  if (dbias && chunks > 1)
    column_sums(data<float>(dbias), dbias_sums, Dtype::float32, chunks, columns, columns, stream);
  if (loss)
    launch(mean_loss_kernel, 1, kSumThreads, 0, stream, data<float>(loss), losses,
           data<float>(denominator), rows);
}

}  // namespace cuda
