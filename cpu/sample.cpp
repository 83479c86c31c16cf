// One step of sampling. Tokens have integer weights, made by exactly rounded operations alone, so
// that every backend has the same weights, their sums do not depend on an order, and the same
// tokens are drawn. Bound by reading the logits and by their exponentials.
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "logits.h"
#include "random.h"
#include "simd.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// A token's weight is 2^-exponent. Exponents have 24 fractional bits and go up to 31.
SIMD_INLINE int32_t exponent_of(float logit, float maximum, float factor) {
  const float exponent = (maximum - logit) * factor;
  const float bounded = exponent < 31.0f ? exponent : 31.0f;
  return static_cast<int32_t>(bounded * 0x1p24f);
}

// Weights in units of 2^-30; 0 from 2^-31 on. The same operations as in cuda/sample.cu: fused
// multiply-adds (our own minimax fit, relative error 9e-8) and an exact conversion.
SIMD void weigh(uint32_t* weights, const float* logits, int count, float maximum, float factor) {
  for (int i = 0; i < count; i++) {
    const int32_t fixed = exponent_of(logits[i], maximum, factor);
    const float r = static_cast<float>(fixed & 0xffffff) * 0x1p-24f;
    float y = std::fma(r, -0.0009449037f, 0.009205799f);
    y = std::fma(r, y, -0.05529736f);
    y = std::fma(r, y, 0.24018015f);
    y = std::fma(r, y, -0.6931437f);
    y = std::fma(r, y, 1.0f);
    weights[i] = static_cast<uint32_t>(static_cast<int32_t>(y * 0x1p30f) >> (fixed >> 24));
  }
}

uint64_t key_of(uint32_t order, int token) {
  return uint64_t{order} << 32 | ~static_cast<uint32_t>(token);
}
// Orders by logit, larger ones first, then by token, smaller ones first.
uint64_t key_of(float logit, int token) {
  const auto bits = std::bit_cast<uint32_t>(logit + 0.0f);  // -0 is 0
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return key_of(ordered, token);
}
int token_of(uint64_t key) { return static_cast<int>(~static_cast<uint32_t>(key)); }

uint64_t sum_of(const uint32_t* weights, int count) {
  uint64_t sum = 0;
  for (int i = 0; i < count; i++) sum += weights[i];
  return sum;
}

// Puts the largest keys first, and gives how many of them it takes until their weights reach
// `target`, which all together do.
int64_t count_reaching(uint64_t target, uint64_t* keys, int64_t count, const uint32_t* weights) {
  int64_t low = 0;  // so many do not reach it
  int64_t high = count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    std::nth_element(keys + low, keys + middle, keys + high, std::greater());
    uint64_t sum = 0;
    for (int64_t i = low; i < middle; i++) sum += weights[token_of(keys[i])];
    if (sum >= target) {
      high = middle;
    } else {
      target -= sum;
      low = middle;
    }
  }
  return high;
}

using Wide = unsigned __int128;

// The least whole number that is `share` of `total`, and at least 1.
uint64_t part_of(uint64_t total, float share) {
  const auto in_units = static_cast<uint64_t>(std::ldexp(share, 64));  // exact for 2^-40 <= share
  const Wide product = Wide{total} * in_units;
  const auto whole = static_cast<uint64_t>(product >> 64) + (static_cast<uint64_t>(product) != 0);
  return std::max<uint64_t>(whole, 1);
}

// What one thread works with, V of each.
struct Workspace {
  uint64_t* keys;
  uint32_t* weights;
  float* logits;
  float* maxima;
};

struct Truncation {
  int top_k;
  float top_p, typical_p;
  int most_typical;

  bool any() const { return top_k > 0 || top_p < 1 || typical(); }
  bool typical() const { return typical_p < 1 || most_typical > 0; }
};

// The mean exponent of `count` tokens by weight: their entropy less the log of the weights' sum.
// Products are cut to units of 2^-32, and all is as in cuda/sample.cu.
int32_t mean_exponent(const Workspace& work, int64_t count, float maximum, float factor) {
  uint64_t total = 0;
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; i++) {
    const int token = token_of(work.keys[i]);
    const uint64_t weight = work.weights[token];
    total += weight;
    sum += weight * exponent_of(work.logits[token], maximum, factor) >> 22;
  }
  uint64_t mean = sum / total;
  uint64_t rest = sum % total;
  for (int half = 0; half < 2; half++) {
    rest <<= 11;
    mean = mean << 11 | rest / total;
    rest %= total;
  }
  return static_cast<int32_t>(mean);
}

// Gives the weight 0 to what is not among the most probable and the most typical.
void truncate(const Workspace& work, int vocabulary, const Truncation& limits, float maximum,
              float factor) {
  int64_t count = 0;
  for (int i = 0; i < vocabulary; i++)
    if (work.weights[i] > 0) work.keys[count++] = key_of(work.logits[i], i);
  const auto keep = [&](int64_t kept) {
    for (int64_t i = kept; i < count; i++) work.weights[token_of(work.keys[i])] = 0;
    count = kept;
  };
  const auto keep_number = [&](int number) {
    if (number <= 0 || number >= count) return;
    std::nth_element(work.keys, work.keys + number, work.keys + count, std::greater());
    keep(number);
  };
  const auto keep_share = [&](float share) {
    if (share >= 1) return;
    const uint64_t target = part_of(sum_of(work.weights, vocabulary), share);
    keep(count_reaching(target, work.keys, count, work.weights));
  };
  keep_number(limits.top_k);
  keep_share(limits.top_p);
  if (!limits.typical()) return;
  const int32_t mean = mean_exponent(work, count, maximum, factor);
  for (int64_t i = 0; i < count; i++) {
    const int token = token_of(work.keys[i]);
    const int32_t apart = exponent_of(work.logits[token], maximum, factor) - mean;
    work.keys[i] = key_of(~static_cast<uint32_t>(std::abs(apart)), token);
  }
  keep_share(limits.typical_p);
  keep_number(limits.most_typical);
}

// The token at which the sum of the weights so far, by token, passes a random part of all.
int draw(const uint32_t* weights, int vocabulary, uint64_t random) {
  const Wide product = Wide{random} * sum_of(weights, vocabulary);
  auto left = static_cast<uint64_t>(product >> 64);
  int token = 0;
  for (; left >= weights[token]; token++) left -= weights[token];
  return token;
}

uint64_t random_bits(const int* seeds, int position) {
  uint32_t words[4];
  philox(words, 0,
         Randomness(static_cast<uint32_t>(seeds[0]), static_cast<uint32_t>(seeds[1]),
                    static_cast<uint32_t>(position), 0));
  return uint64_t{words[1]} << 32 | words[0];
}

float largest(const float* logits, int vocabulary, float* maxima) {
  block_maxima(maxima, logits, vocabulary);
  return *std::max_element(maxima, maxima + (vocabulary + kLogitBlock - 1) / kLogitBlock);
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void sample_step(Tensor tokens, Tensor sequences, Tensor scores, Tensor lengths, Tensor done,
                 Tensor logits, Tensor seeds, Tensor forbidden, int position, int end_token,
                 int min_tokens, float temperature, int top_k, float top_p, float typical_p,
                 int most_typical, Stream& stream) {
  const int rows = logits.shape[0];
  const int vocabulary = logits.shape[1];
  const int length = sequences.shape[1];
  const auto factor = static_cast<float>(1.4426950408889634 / static_cast<double>(temperature));
  const Truncation limits{top_k, top_p, typical_p, most_typical};
  const int threads = std::max(1, std::min(omp_get_max_threads(), rows));
  const size_t all = static_cast<size_t>(vocabulary) * threads;
  auto* keys = static_cast<uint64_t*>(
      stream.scratch(all * (sizeof(uint64_t) + sizeof(uint32_t) + 2 * sizeof(float))));
  auto* weights = reinterpret_cast<uint32_t*>(keys + all);
  auto* values = reinterpret_cast<float*>(weights + all);

#pragma omp parallel num_threads(threads)
  {
    const size_t own = static_cast<size_t>(vocabulary) * omp_get_thread_num();
    const Workspace work{keys + own, weights + own, values + own, values + all + own};
#pragma omp for schedule(dynamic, 1)
    for (int row = 0; row < rows; row++) {
      if (done.i32()[row]) continue;
      const float* from = logits.f32() + row * logits.row_stride;
      const float maximum = largest(from, vocabulary, work.maxima);
      const auto log_sum =
          static_cast<float>(std::log(sum_of_exponentials(from, vocabulary, maximum)));

      std::copy(from, from + vocabulary, work.logits);
      for (int64_t i = 0; forbidden && i < forbidden.size(); i++)
        if (const int id = forbidden.i32()[i]; id < vocabulary && id != end_token)
          work.logits[id] = kNever;
      if (position < min_tokens) work.logits[end_token] = kNever;
      const float allowed = largest(work.logits, vocabulary, work.maxima);

      int token = end_token;
      float log_probability = kNever;
      if (std::isfinite(maximum) && std::isfinite(log_sum) && allowed > kNever) {
        weigh(work.weights, work.logits, vocabulary, allowed, factor);
        if (limits.any()) truncate(work, vocabulary, limits, allowed, factor);
        token = draw(work.weights, vocabulary, random_bits(seeds.i32() + 2 * row, position));
        log_probability = from[token] - maximum - log_sum;
      }
      scores.f32()[row] += log_probability;
      tokens.i32()[row] = token;
      done.i32()[row] = token == end_token;
      lengths.i32()[row] = token == end_token ? position : position + 1;
      if (token != end_token) sequences.i32()[row * int64_t{length} + position] = token;
    }
  }
}

}  // namespace cpu
