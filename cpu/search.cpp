// One step of beam search. Each live beam's row is read for its log-sum-exp and its 2K best tokens;
// then each image merges its beams. Bound by reading the logits and by their exponentials.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "logits.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// A token that may follow a beam. `rank` orders tokens of one beam, `score` is the whole caption's
// log-probability.
struct Candidate {
  float logit;
  float score;
  int beam;
  int token;
};

struct Rules {
  Tensor forbidden;
  int end_token;
  bool may_end;

  bool allow(int token) const {
    if (token == end_token) return may_end;
    if (!forbidden) return true;
    const int* ids = forbidden.i32();
    return std::find(ids, ids + forbidden.size(), token) == ids + forbidden.size();
  }
};

// The best `wanted` tokens of a row, best first, the lower id first among equals; gives how many
// there are. Blocks whose maximum cannot enter are skipped, which is nearly all.
int best_tokens(Candidate* best, int wanted, const float* logits, int vocabulary, int beam,
                float score, const Rules& rules, float* maxima) {
  block_maxima(maxima, logits, vocabulary);
  const int blocks = (vocabulary + kLogitBlock - 1) / kLogitBlock;
  const float maximum = *std::max_element(maxima, maxima + blocks);
  const auto log_sum =
      static_cast<float>(std::log(sum_of_exponentials(logits, vocabulary, maximum)));
  if (!std::isfinite(maximum) || !std::isfinite(log_sum)) return 0;
  int found = 0;
  float threshold = kNever;
  for (int block = 0; block < blocks; block++) {
    if (!(maxima[block] > threshold)) continue;
    const int end = std::min((block + 1) * kLogitBlock, vocabulary);
    for (int token = block * kLogitBlock; token < end; token++) {
      const float logit = logits[token];
      if (!(logit > threshold) || !rules.allow(token)) continue;
      int place = found < wanted ? found++ : wanted - 1;
      for (; place > 0 && best[place - 1].logit < logit; place--) best[place] = best[place - 1];
      best[place] = {logit, score + (logit - maximum - log_sum), beam, token};
      if (found == wanted) threshold = best[wanted - 1].logit;
    }
  }
  return found;
}

// The state of one image's search.
struct Image {
  float* scores;
  int *tokens, *sequences, *ancestors;
  float* finished_scores;
  int *finished_sequences, *finished_lengths, *done;
  int first_row, beams, length;

  // Puts an ended caption among the finished ones, best first, if it is good enough.
  void finish(float score, const int* words, int count) const {
    if (!(score > finished_scores[beams - 1])) return;
    int place = beams - 1;
    for (; place > 0 && finished_scores[place - 1] < score; place--) {
      finished_scores[place] = finished_scores[place - 1];
      finished_lengths[place] = finished_lengths[place - 1];
      std::memcpy(finished_sequences + place * length, finished_sequences + (place - 1) * length,
                  sizeof(int) * length);
    }
    finished_scores[place] = score;
    finished_lengths[place] = count;
    std::memcpy(finished_sequences + place * length, words, sizeof(int) * count);
  }
};

// Takes the best 2K of the beams' candidates: those that end go to the finished captions, the
// others become the beams.
void merge(const Image& image, const Candidate* candidates, const int* counts, int* scratch,
           int position, int end_token, float length_penalty) {
  const int beams = image.beams;
  const int length = image.length;
  int* taken = scratch;  // candidates used of each beam
  int* sequences = taken + beams;
  int* ancestors = sequences + beams * length;
  std::fill(taken, taken + beams, 0);
  std::memcpy(sequences, image.sequences, sizeof(int) * beams * length);
  std::memcpy(ancestors, image.ancestors, sizeof(int) * beams * length);
  const float divisor = std::pow(static_cast<float>(position + 1), length_penalty);
  int live = 0;
  for (int rank = 0; rank < 2 * beams && live < beams; rank++) {
    const Candidate* best = nullptr;
    for (int beam = 0; beam < beams; beam++) {
      if (taken[beam] == counts[beam]) continue;
      const Candidate& next = candidates[beam * 2 * beams + taken[beam]];
      if (!best || next.score > best->score) best = &next;
    }
    if (!best) break;
    taken[best->beam]++;
    const int* words = sequences + best->beam * length;
    if (best->token == end_token) {
      if (rank < beams) image.finish(best->score / divisor, words, position);
      continue;
    }
    // The newest key and value of the parent are in the parent's row of the cache.
    std::memcpy(image.ancestors + live * length, ancestors + best->beam * length,
                sizeof(int) * position);
    image.ancestors[live * length + position] = image.first_row + best->beam;
    std::memcpy(image.sequences + live * length, words, sizeof(int) * position);
    image.sequences[live * length + position] = best->token;
    image.tokens[live] = best->token;
    image.scores[live] = best->score;
    live++;
  }
  for (int beam = live; beam < beams; beam++) {
    image.scores[beam] = kNever;
    image.tokens[beam] = end_token;
  }
  const float attainable = image.scores[0] / divisor;
  *image.done = !(image.finished_scores[beams - 1] < attainable);
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void beam_step(Tensor scores, Tensor tokens, Tensor sequences, Tensor ancestors,
               Tensor finished_scores, Tensor finished_sequences, Tensor finished_lengths,
               Tensor done, Tensor logits, Tensor forbidden, int beams, int position, int end_token,
               int min_tokens, float length_penalty, Stream& stream) {
  const int rows = logits.shape[0];
  const int images = rows / beams;
  const int vocabulary = logits.shape[1];
  const int length = sequences.shape[1];
  const int wanted = 2 * beams;
  const Rules rules{forbidden, end_token, position + 1 > min_tokens};
  const int threads = std::max(1, std::min(omp_get_max_threads(), rows));

  const size_t blocks = (static_cast<size_t>(vocabulary) + kLogitBlock - 1) / kLogitBlock;
  const size_t copies = static_cast<size_t>(beams) * (1 + 2 * static_cast<size_t>(length));
  const size_t candidate_bytes = sizeof(Candidate) * wanted * rows;
  auto* base = static_cast<char*>(stream.scratch(candidate_bytes + sizeof(int) * rows +
                                                 sizeof(float) * blocks * threads +
                                                 sizeof(int) * copies * threads));
  auto* candidates = reinterpret_cast<Candidate*>(base);
  auto* counts = reinterpret_cast<int*>(base + candidate_bytes);
  auto* maxima = reinterpret_cast<float*>(counts + rows);
  auto* copied = reinterpret_cast<int*>(maxima + blocks * threads);

#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
    for (int row = 0; row < rows; row++) {
      const bool live = scores.f32()[row] > kNever && !done.i32()[row / beams] &&
                        (position > 0 || row % beams == 0);
      counts[row] =
          live ? best_tokens(candidates + row * wanted, wanted,
                             logits.f32() + row * logits.row_stride, vocabulary, row % beams,
                             scores.f32()[row], rules, maxima + blocks * thread)
               : 0;
    }
#pragma omp for schedule(dynamic, 4)
    for (int b = 0; b < images; b++) {
      if (done.i32()[b]) continue;
      const int row = b * beams;
      const Image image{scores.f32() + row,
                        tokens.i32() + row,
                        sequences.i32() + row * length,
                        ancestors.i32() + row * length,
                        finished_scores.f32() + row,
                        finished_sequences.i32() + row * length,
                        finished_lengths.i32() + row,
                        done.i32() + b,
                        row,
                        beams,
                        length};
      merge(image, candidates + row * wanted, counts + row, copied + copies * thread, position,
            end_token, length_penalty);
    }
  }
}

}  // namespace cpu
