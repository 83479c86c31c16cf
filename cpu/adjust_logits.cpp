// Rules on logits before a token is chosen. Each word of a row decides once: where it stands last.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "../binding/device.h"
#include "../binding/tensor.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

constexpr int kRowsPerThread = 8;  // fewer are not worth a thread

// Options of adjust_logits.
struct Penalties {
  float repetition;
  int repetition_window;
  float frequency;
  int frequency_window;
  int no_repeat;
};

// Whether words[place] follows the n - 1 words that the row ends with too, n = no_repeat.
bool completes(const int* words, int count, int place, int no_repeat) {
  const int before = no_repeat - 1;
  return place >= before &&
         std::equal(words + place - before, words + place, words + count - before);
}

void penalize(float* logits, const int* words, int count, const Penalties& by) {
  for (int last = 0; last < count; last++) {
    const int token = words[last];
    if (std::find(words + last + 1, words + count, token) != words + count) continue;
    float logit = logits[token];
    if (last >= count - by.repetition_window)
      logit = logit > 0 ? logit / by.repetition : logit * by.repetition;
    int seen = 0;
    bool banned = false;
    for (int place = 0; place <= last; place++) {
      if (words[place] != token) continue;
      if (place >= count - by.frequency_window) seen++;
      if (by.no_repeat > 0 && completes(words, count, place, by.no_repeat)) banned = true;
    }
    if (seen > 1) {
      // One rounding, as in cuda/adjust_logits.cu.
      const float share = 1.0f - 1.0f / static_cast<float>(seen);
      logit = std::fma(-by.frequency, share, logit);
    }
    logits[token] = banned ? kNever : logit;
  }
}

void leave_only(float* logits, int vocabulary, int token) {
  const float logit = logits[token];
  std::fill(logits, logits + vocabulary, kNever);
  logits[token] = logit;
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void adjust_logits(Tensor logits, Tensor sequences, Tensor forced, int position,
                   float repetition_penalty, int repetition_window, float frequency_penalty,
                   int frequency_window, int no_repeat, Stream&) {
  const int rows = logits.shape[0];
  const int vocabulary = logits.shape[1];
  const int length = sequences.shape[1];
  const Penalties penalties{repetition_penalty, repetition_window, frequency_penalty,
                            frequency_window, no_repeat};
  const bool forces = forced && position < forced.shape[1];
  const int per_image = forces ? rows / forced.shape[0] : 1;
  const int threads = std::max(1, std::min(omp_get_max_threads(), rows / kRowsPerThread));
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int row = 0; row < rows; row++) {
    float* own = logits.f32() + row * logits.row_stride;
    const int token =
        forces ? forced.i32()[row / per_image * int64_t{forced.shape[1]} + position] : -1;
    if (token >= 0) {
      leave_only(own, vocabulary, token);
    } else {
      penalize(own, sequences.i32() + row * int64_t{length}, position, penalties);
    }
  }
}

}  // namespace cpu
