// Rules on logits before a token is chosen. A block takes a row, a thread a word, which decides
// once: where it stands last. The same operations as in cpu/adjust_logits.cpp, so that the same
// tokens are chosen. Bound by latency; where a token is forced by writing the logits.
#include <cmath>

#include "device/device.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 128;

// Options of adjust_logits.
struct Penalties {
  float repetition;
  int repetition_window;
  float frequency;
  int frequency_window;
  int no_repeat;
};

// Whether words[place] follows the n - 1 words that the row ends with too, n = no_repeat.
DEVICE bool completes(const int* words, int count, int place, int no_repeat) {
  const int before = no_repeat - 1;
  if (place < before) return false;
  for (int i = 1; i <= before; i++)
    if (words[place - i] != words[count - i]) return false;
  return true;
}

DEVICE void penalize(float* logits, const int* words, int count, int last, const Penalties& by) {
  const int token = words[last];
  for (int place = last + 1; place < count; place++)
    if (words[place] == token) return;
  float logit = logits[token];
  if (last >= count - by.repetition_window)
    logit = logit > 0.0f ? logit / by.repetition : logit * by.repetition;
  int seen = 0;
  bool banned = false;
  for (int place = 0; place <= last; place++) {
    if (words[place] != token) continue;
    if (place >= count - by.frequency_window) seen++;
    if (by.no_repeat > 0 && completes(words, count, place, by.no_repeat)) banned = true;
  }
  if (seen > 1) {
    const float share = 1.0f - 1.0f / static_cast<float>(seen);
    logit = __fmaf_rn(-by.frequency, share, logit);
  }
  logits[token] = banned ? -INFINITY : logit;
}

// forced [B, forced_length], a token for `per_image` rows each; null: none.
__global__ void __launch_bounds__(kThreads)
    adjust_kernel(float* logits, int64_t row_stride, int vocabulary, const int* sequences,
                  int length, const int* forced, int forced_length, int per_image, int position,
                  Penalties penalties) {
  const int row = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  float* own = logits + row * row_stride;
  const int* words = sequences + int64_t{row} * length;
  const int token = forced ? forced[int64_t{row / per_image} * forced_length + position] : -1;
  if (token < 0) {
    for (int word = thread; word < position; word += kThreads)
      penalize(own, words, position, word, penalties);
  } else {
    for (int i = thread; i < vocabulary; i += kThreads)
      if (i != token) own[i] = -INFINITY;
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void adjust_logits(Tensor logits, Tensor sequences, Tensor forced, int position,
                   float repetition_penalty, int repetition_window, float frequency_penalty,
                   int frequency_window, int no_repeat, Stream& stream) {
  const int rows = logits.shape[0];
  const bool forces = forced && position < forced.shape[1];
  const Penalties penalties{repetition_penalty, repetition_window, frequency_penalty,
                            frequency_window, no_repeat};
  launch(adjust_kernel, static_cast<unsigned>(rows), kThreads, 0, stream, data<float>(logits),
         logits.row_stride, logits.shape[1], data<int>(sequences), sequences.shape[1],
         forces ? data<int>(forced) : nullptr, forces ? forced.shape[1] : 0,
         forces ? rows / forced.shape[0] : 1, position, penalties);
}

}  // namespace cuda
