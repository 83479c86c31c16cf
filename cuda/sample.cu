// One step of sampling. A block takes a row. Tokens have integer weights, made by exactly rounded
// operations alone, so that the CPU has the same weights, their sums do not depend on an order, and
// the same tokens are drawn. What top-k and top-p keep is found by radix selection on the logits'
// bits, without sorting. Bound by reading the logits: three times, and three to six times more for
// each truncation.
#include <algorithm>
#include <cmath>

#include "device/logits.cuh"
#include "device/random.cuh"
#include "device/reduce.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kDigits = 3;  // of a logit's 32 bits
constexpr int kDigitBits = 11;
constexpr int kBins = 1 << kDigitBits;

// Of 2, with 24 fractional bits, up to 31. The same operations as in cpu/sample.cpp.
DEVICE int bounded_exponent(float exponent) {
  const float bounded = exponent < 31.0f ? exponent : 31.0f;
  return static_cast<int>(bounded * 0x1p24f);
}
// 2^-exponent in units of 2^-30; 0 from 31 on. The same operations as in cpu/sample.cpp: fused
// multiply-adds (our own minimax fit, relative error 9e-8) and an exact conversion.
DEVICE uint32_t power(int fixed) {
  const float r = static_cast<float>(fixed & 0xffffff) * 0x1p-24f;
  float y = __fmaf_rn(r, -0.0009449037f, 0.009205799f);
  y = __fmaf_rn(r, y, -0.05529736f);
  y = __fmaf_rn(r, y, 0.24018015f);
  y = __fmaf_rn(r, y, -0.6931437f);
  y = __fmaf_rn(r, y, 1.0f);
  return static_cast<uint32_t>(static_cast<int>(y * 0x1p30f) >> (fixed >> 24));
}

// What a block shares.
template <int threads>
struct Workspace {
  uint32_t low[kBins], high[kBins];  // a histogram of 64-bit sums
  uint64_t sums[threads / 32];       // of each warp
  uint64_t before, within;           // sums of the bins above the one found, and in it
  int bin, token;                    // found
};

// A row, and the part of it [begin, end) that the thread's warp looks after.
template <bool wide>
struct Row {
  LogitReader<wide> reader;  // ends where the part does
  int begin;
  Rules rules;
  float maximum, factor;
  uint64_t least;          // the key of the least probable token that is kept
  uint64_t least_typical;  // that of the least typical one; kNothing: all are
  int mean;                // the exponents' by weight, once needed

  // Calls body(token, logit) for the lane's tokens, and with -infinity for some beyond.
  template <class Body>
  DEVICE void each(Body body) const {
    float value[kTogether];
    for (int base = begin; base < reader.vocabulary; base += 32 * kTogether) {
      reader.read(value, base);
#pragma unroll
      for (int j = 0; j < kTogether; j++) body(reader.token(base, j), value[j]);
    }
  }
  // What is not kept may be above the maximum.
  DEVICE int exponent(float logit) const {
    return bounded_exponent(fmaxf(maximum - logit, 0.0f) * factor);
  }
  DEVICE uint32_t weight(float logit) const { return power(exponent(logit)); }
  DEVICE uint32_t typicality(float logit) const {
    return ~static_cast<uint32_t>(abs(exponent(logit) - mean));
  }
  // amount(logit), which is 0 for -infinity, or 0 for a token that is not kept.
  template <class Amount>
  DEVICE uint32_t kept(int token, float logit, Amount amount) const {
    const uint32_t x = amount(logit);
    if (x == 0 || key_of(logit, token) < least) return 0;
    if (least_typical != kNothing && ordered_key(typicality(logit), token) < least_typical)
      return 0;
    return rules.allow(token) ? x : 0;
  }
};

// The sum of x over the lanes up to this one.
DEVICE uint64_t warp_scan(uint64_t x) {
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const uint64_t other = __shfl_up_sync(kAllLanes, x, offset);
    if (lane_id() >= offset) x += other;
  }
  return x;
}

// Leaves each warp's sum in work.sums, from what its last lane's scan came to. Between two calls
// there is a barrier, so that the sums before have been read.
template <int threads>
DEVICE void sum_warps(Workspace<threads>& work, uint64_t scanned) {
  if (lane_id() == 31) work.sums[warp_id()] = scanned;
  __syncthreads();
}
template <int threads>
DEVICE uint64_t sum_of_warps(const Workspace<threads>& work, int first, int end) {
  uint64_t sum = 0;
  for (int warp = first; warp < end; warp++) sum += work.sums[warp];
  return sum;
}

// The amounts of all kept tokens together.
template <int threads, bool wide, class Amount>
DEVICE uint64_t measure(Workspace<threads>& work, const Row<wide>& row, Amount amount) {
  uint64_t own = 0;
  row.each([&](int token, float logit) { own += row.kept(token, logit, amount); });
  sum_warps(work, warp_scan(own));
  return sum_of_warps(work, 0, threads / 32);
}

// After `measure` of the same: the token at which the sum of the amounts so far, by token, passes
// `target`, which is less than all.
template <int threads, bool wide, class Amount>
DEVICE int locate(Workspace<threads>& work, const Row<wide>& row, uint64_t target, Amount amount) {
  const int warp = uniform(warp_id());
  const uint64_t before = sum_of_warps(work, 0, warp);
  if (before <= target && target < before + work.sums[warp]) {
    target -= before;
    for (int base = row.begin; base < row.reader.vocabulary; base += 32) {
      const int token = base + lane_id();
      const float logit = token < row.reader.vocabulary ? row.reader.row[token] : -INFINITY;
      const uint64_t sum = warp_scan(row.kept(token, logit, amount));
      const unsigned past = __ballot_sync(kAllLanes, sum > target);
      if (past != 0) {
        if (lane_id() == __ffs(past) - 1) work.token = token;
        break;
      }
      target -= __shfl_sync(kAllLanes, sum, 31);
    }
  }
  __syncthreads();
  return work.token;
}

// Orders of tokens: order(logit), larger ones first. common(order, amount): no more than what each
// token of an order amounts to.
struct ByLogit {
  DEVICE uint32_t operator()(float logit) const { return ordered_bits(logit); }
  template <class Amount>
  DEVICE uint32_t common(uint32_t order, Amount amount) const {
    return amount(value_of(uint64_t{order} << 32));
  }
};
template <bool wide>
struct ByTypicality {
  const Row<wide>& row;
  DEVICE uint32_t operator()(float logit) const { return row.typicality(logit); }
  template <class Amount>
  DEVICE uint32_t common(uint32_t, Amount) const {
    return 0;
  }
};

// Adds to a histogram of zeros the amounts of the kept tokens whose order's bits begin with
// `prefix`, by the next bits: from bit `shift` on `width` of them.
template <int threads, bool wide, class Order, class Amount>
DEVICE void count(Workspace<threads>& work, const Row<wide>& row, const Order& order_of,
                  uint32_t prefix, int shift, int width, Amount amount) {
  row.each([&](int token, float logit) {
    const uint32_t order = order_of(logit);
    if ((uint64_t{order} >> (shift + width)) != prefix) return;
    const uint32_t x = row.kept(token, logit, amount);
    if (x == 0) return;
    const uint32_t bin = order >> shift & ((1u << width) - 1);
    const uint32_t old = atomicAdd(&work.low[bin], x);
    if (old + x < old) atomicAdd(&work.high[bin], 1u);
  });
}

// The key of the last of the kept tokens in an order that it takes until their amounts reach
// `target`, which is at least 1; `none` when all do not.
template <int threads, bool wide, class Order, class Amount>
DEVICE uint64_t last_reaching(Workspace<threads>& work, const Row<wide>& row, const Order& order_of,
                              uint64_t target, Amount amount, uint64_t none) {
  constexpr int each = kBins / threads;
  const int thread = static_cast<int>(threadIdx.x);
  uint32_t order = 0;
  int shift = 32;
  for (int digit = 0; digit < kDigits; digit++) {
    const int width = min(kDigitBits, shift);
    shift -= width;
    __syncthreads();
    for (int bin = thread; bin < kBins; bin += threads) work.low[bin] = work.high[bin] = 0;
    if (thread == 0) work.bin = -1;
    __syncthreads();
    count(work, row, order_of, order, shift, width, amount);
    __syncthreads();
    // From the highest bin down, `each` neighbours a thread.
    const int first = kBins - 1 - thread * each;
    const auto sum_in = [&](int bin) { return uint64_t{work.high[bin]} << 32 | work.low[bin]; };
    uint64_t own = 0;
    for (int i = 0; i < each; i++) own += sum_in(first - i);
    const uint64_t scanned = warp_scan(own);
    sum_warps(work, scanned);
    uint64_t before = sum_of_warps(work, 0, warp_id()) + scanned - own;
    if (before < target && target <= before + own) {
      int bin = first;
      for (; before + sum_in(bin) < target; bin--) before += sum_in(bin);
      work.bin = bin;
      work.before = before;
      work.within = sum_in(bin);
    }
    __syncthreads();
    if (work.bin < 0) return none;
    order = order << width | static_cast<uint32_t>(work.bin);
    target -= work.before;
  }
  // Tokens of one order are left. The last of them has the least key.
  if (target + order_of.common(order, amount) > work.within) return uint64_t{order} << 32;
  const auto equal = [&](float logit) { return order_of(logit) == order ? amount(logit) : 0u; };
  measure(work, row, equal);
  return ordered_key(order, locate(work, row, target - 1, equal));
}

// How tokens are chosen; shares: top_p and typical_p in units of 2^-64, 0 for all.
struct Choice {
  float factor;
  int top_k;
  uint64_t probable_share, typical_share;
  int most_typical;
};

DEVICE uint64_t part_of(uint64_t total, uint64_t share) {
  return max(uint64_t{__umul64hi(total, share)} + (total * share != 0), uint64_t{1});
}

// The mean exponent by weight from the sums of the weights and of weighted exponents in units of
// 2^-32.
DEVICE int mean_of(uint64_t sum, uint64_t total) {
  uint64_t mean = sum / total;
  uint64_t rest = sum % total;
  for (int half = 0; half < 2; half++) {
    rest <<= 11;
    mean = mean << 11 | rest / total;
    rest %= total;
  }
  return static_cast<int>(mean);
}

template <int threads, bool wide>
DEVICE int draw(Workspace<threads>& work, Row<wide>& row, const Choice& choice, uint64_t random) {
  const auto weight = [&](float logit) { return row.weight(logit); };
  const auto one = [&](float logit) { return logit > -INFINITY ? 1u : 0u; };
  if (choice.top_k > 0)
    row.least = last_reaching(work, row, ByLogit{}, choice.top_k, one, row.least);
  uint64_t total = measure(work, row, weight);
  if (choice.probable_share > 0) {
    const uint64_t target = part_of(total, choice.probable_share);
    row.least = last_reaching(work, row, ByLogit{}, target, weight, row.least);
    total = measure(work, row, weight);
  }
  if (choice.typical_share > 0 || choice.most_typical > 0) {
    __syncthreads();
    const uint64_t sum = measure(work, row, [&](float logit) {
      return static_cast<uint32_t>(uint64_t{row.weight(logit)} * row.exponent(logit) >> 22);
    });
    row.mean = mean_of(sum, total);
    const ByTypicality<wide> order{row};
    if (choice.typical_share > 0) {
      const uint64_t target = part_of(total, choice.typical_share);
      row.least_typical = last_reaching(work, row, order, target, weight, row.least_typical);
    }
    if (choice.most_typical > 0)
      row.least_typical = last_reaching(
          work, row, order, choice.most_typical,
          [&](float logit) { return row.weight(logit) > 0 ? 1u : 0u; }, row.least_typical);
    total = measure(work, row, weight);
  }
  return locate(work, row, __umul64hi(random, total), weight);
}

// The state of the rows, as kernels.h describes it.
struct Samples {
  int *tokens, *sequences;
  float* scores;
  int *lengths, *done;
  int length;
};

// A row a block, and few rows: registers matter more than many blocks at a time.
template <int threads, bool wide>
__global__ void __launch_bounds__(threads, 512 / threads)
    sample_kernel(Samples state, const float* logits, int64_t row_stride, int vocabulary,
                  const int* seeds, Rules rules, Choice choice, int position) {
  SHARED(Workspace<threads>, workspaces, [1]);
  const int r = static_cast<int>(blockIdx.x);
  if (!state.done[r]) {
    const float* from = logits + r * row_stride;
    constexpr int step = threads * kTogether;
    const int part = ceil_div(vocabulary, step) * 32 * kTogether;
    const int begin = uniform(warp_id()) * part;
    Row<wide> row{{from, min(begin + part, vocabulary)},
                  begin,
                  rules,
                  -INFINITY,
                  choice.factor,
                  kNothing,
                  kNothing,
                  0};
    float maximum = -INFINITY;
    float allowed = -INFINITY;
    row.each([&](int token, float logit) {
      maximum = fmaxf(maximum, logit);
      if (logit > allowed && rules.allow(token)) allowed = logit;
    });
    maximum = block_max<threads>(maximum);
    row.maximum = block_max<threads>(allowed);
    float sum = 0.0f;
    row.each([&](int, float logit) { sum += expf(logit - maximum); });
    const float log_sum = logf(block_sum<threads>(sum));

    int token = rules.end_token;
    float log_probability = -INFINITY;
    if (isfinite(maximum) && isfinite(log_sum) && row.maximum > -INFINITY) {
      const Randomness by(static_cast<uint32_t>(seeds[2 * r]),
                          static_cast<uint32_t>(seeds[2 * r + 1]), position, 0);
      const uint4 words = philox(0, by);
      token = draw(workspaces[0], row, choice, uint64_t{words.y} << 32 | words.x);
      log_probability = from[token] - maximum - log_sum;
    }
    if (threadIdx.x == 0) {
      const bool ends = token == rules.end_token;
      state.scores[r] += log_probability;
      state.tokens[r] = token;
      state.done[r] = ends;
      state.lengths[r] = ends ? position : position + 1;
      if (!ends) state.sequences[int64_t{r} * state.length + position] = token;
    }
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void sample_step(Tensor tokens, Tensor sequences, Tensor scores, Tensor lengths, Tensor done,
                 Tensor logits, Tensor seeds, Tensor forbidden, int position, int end_token,
                 int min_tokens, float temperature, int top_k, float top_p, float typical_p,
                 int most_typical, Stream& stream) {
  const int vocabulary = logits.shape[1];
  const Samples state{data<int>(tokens),  data<int>(sequences), data<float>(scores),
                      data<int>(lengths), data<int>(done),      sequences.shape[1]};
  const Rules rules{data<int>(forbidden), forbidden ? static_cast<int>(forbidden.size()) : 0,
                    end_token, position >= min_tokens};
  const auto share_of = [](float p) {
    return p < 1 ? std::max(static_cast<uint64_t>(std::ldexp(p, 64)), uint64_t{1}) : 0;
  };
  const Choice choice{static_cast<float>(1.4426950408889634 / static_cast<double>(temperature)),
                      top_k, share_of(top_p), share_of(typical_p), most_typical};
  const auto start = [&](auto kernel, unsigned threads) {
    launch(kernel, static_cast<unsigned>(logits.shape[0]), threads, 0, stream, state,
           data<float>(logits), logits.row_stride, vocabulary, data<int>(seeds), rules, choice,
           position);
  };
  const bool wide =
      aligned(logits) && logits.row_stride % kTogether == 0 && vocabulary % kTogether == 0;
  if (vocabulary <= 2048) {
    start(wide ? sample_kernel<128, true> : sample_kernel<128, false>, 128);
  } else {
    start(wide ? sample_kernel<512, true> : sample_kernel<512, false>, 512);
  }
}

}  // namespace cuda
