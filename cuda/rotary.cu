// Rotary positions (Su et al. 2021, arXiv:2104.09864, section 3.4): each pair of neighbouring
// columns turns by an angle that grows with the position. A thread moves one access of 16 bytes and
// makes the sines of its pairs itself: they cost about as much as the memory that is moved, and
// that much again would be a table of them.
#include <cmath>

#include "device/ptx.cuh"
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
constexpr float kHalfTurn = -1.65149613f;  // log2(1 / pi)

struct Turn {
  int size, columns;
  float step;  // theta^(-2 i / size) / pi = 2^(step i + kHalfTurn)
  float sign;
};

// Bound by 2 x sizeof(T) bytes an element and one sine and cosine for each two of the first
// `columns`. together: every row and head begins on a multiple of N elements, N at a time; else a
// thread has one pair, or the last column of an odd number. out may be x.
template <class T, int N, bool together>
__global__ void __launch_bounds__(kThreads)
    rotary_kernel(T* out, const T* x, const int* positions, Turn turn, int64_t rows, int columns) {
  static_assert(together || N == 2);
  const int in_row = ceil_div(columns, N);
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = index / in_row;
  if (row >= rows) return;
  const int column = static_cast<int>(index - row * in_row) * N;
  const int64_t at = row * columns + column;
  float values[N] = {};
  if constexpr (together) {
    load(values, x + at);
  } else {
    for (int i = 0; i < N && column + i < columns; i++) values[i] = to_float(x[at + i]);
  }
  if (column < turn.columns) {
    const auto position = turn.sign * static_cast<float>(positions[row]);
    const int first = column % turn.size / 2;
#pragma unroll
    for (int i = 0; i < N / 2; i++) {
      const float frequency = exp2f(fmaf(turn.step, static_cast<float>(first + i), kHalfTurn));
      float sine, cosine;
      ptx::sine_cosine_of_pi(position * frequency, sine, cosine);
      const float even = values[2 * i];
      const float odd = values[2 * i + 1];
      values[2 * i] = even * cosine - odd * sine;
      values[2 * i + 1] = odd * cosine + even * sine;
    }
  }
  if constexpr (together) {
    store(out + at, values);
  } else {
    for (int i = 0; i < N && column + i < columns; i++) out[at + i] = from_float<T>(values[i]);
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void rotary(Tensor out, Tensor x, Tensor positions, int size, int columns, float theta,
            bool inverse, Stream& stream) {
  const Turn turn{size, columns, -2.0f * std::log2(theta) / static_cast<float>(size),
                  inverse ? -1.0f : 1.0f};
  const int all = x.columns();
  with_float_type(x, [&]<class T>(T) {
    constexpr int N = kVector<T>;
    const auto start = [&](auto kernel, int elements) {
      const int64_t threads = x.rows() * ceil_div(all, elements);
      launch(kernel, dim3(static_cast<unsigned>(ceil_div<int64_t>(threads, kThreads))), kThreads, 0,
             stream, data<T>(out), data<T>(x), data<int>(positions), turn, x.rows(), all);
    };
    if (aligned(out, x) && size % N == 0 && all % N == 0) {
      start(rotary_kernel<T, N, true>, N);
    } else {
      start(rotary_kernel<T, 2, false>, 2);
    }
  });
}

}  // namespace cuda
