// One step of beam search. A block reads each live beam's row for its log-sum-exp and its 2K best
// tokens; then a block merges the beams of each image. Bound by reading the logits, and for a few
// beams by latency.
#include <cmath>

#include "device/logits.cuh"
#include "device/reduce.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kMaxBeams = 64;
constexpr int kMergeThreads = 128;

// Keys across a warp, a lane each: first a sequence that rises and then falls, or falls and then
// rises (Batcher 1968, "Sorting networks and their applications"), afterwards falling from lane 0.
DEVICE uint64_t merge_falling(uint64_t key) {
#pragma unroll
  for (int stride = 16; stride > 0; stride /= 2) {
    const uint64_t other = __shfl_xor_sync(kAllLanes, key, stride);
    key = lane_id() & stride ? min(key, other) : max(key, other);
  }
  return key;
}
// From any order.
DEVICE uint64_t sort_falling(uint64_t key) {
#pragma unroll
  for (int size = 2; size < 32; size *= 2) {
#pragma unroll
    for (int stride = size / 2; stride > 0; stride /= 2) {
      const uint64_t other = __shfl_xor_sync(kAllLanes, key, stride);
      const bool larger = ((lane_id() & stride) == 0) == ((lane_id() & size) == 0);
      key = larger ? max(key, other) : min(key, other);
    }
  }
  return merge_falling(key);
}

// The best `wanted` keys, at most 32 slots, that a warp has seen, best first: keys[i] of a lane is
// at place 32 i + lane - skipped, and places below 0 hold what no key exceeds. All lanes call every
// function with the same arguments.
template <int slots>
struct BestKeys {
  uint64_t keys[slots];
  uint64_t worst = kNothing;  // what a key must exceed to enter
  int skipped;

  DEVICE explicit BestKeys(int wanted) : skipped(32 * slots - wanted) {
#pragma unroll
    for (int i = 0; i < slots; i++) keys[i] = place(i) < 0 ? ~kNothing : kNothing;
  }
  DEVICE int place(int i) const { return 32 * i + lane_id() - skipped; }

  DEVICE void insert(uint64_t key) {
#pragma unroll
    for (int i = slots - 1; i >= 0; i--) {
      uint64_t before = __shfl_up_sync(kAllLanes, keys[i], 1);
      uint64_t wrapped = ~kNothing;
      if (i > 0) wrapped = __shfl_sync(kAllLanes, keys[i > 0 ? i - 1 : 0], 31);
      if (lane_id() == 0) before = wrapped;
      if (keys[i] < key) keys[i] = before < key ? before : key;
    }
    worst = __shfl_sync(kAllLanes, keys[slots - 1], 31);
  }
  // A key of each lane.
  DEVICE void insert_all(uint64_t key) {
    key = sort_falling(key);
#pragma unroll
    for (int i = 0; i < slots; i++) {
      const uint64_t reversed = __shfl_xor_sync(kAllLanes, key, 31);
      key = merge_falling(min(keys[i], reversed));
      keys[i] = merge_falling(max(keys[i], reversed));
    }
    worst = __shfl_sync(kAllLanes, keys[slots - 1], 31);
  }
  // Each lane's own key, kNothing where it has none.
  DEVICE void offer(uint64_t key) {
    constexpr int many = 8;  // from here on all at once takes fewer shuffles
    unsigned lanes = __ballot_sync(kAllLanes, key > worst);
    if (__popc(lanes) >= many) return insert_all(key);
    while (lanes != 0) {
      const uint64_t next = __shfl_sync(kAllLanes, key, __ffs(lanes) - 1);
      lanes &= lanes - 1;
      if (next > worst) insert(next);
    }
  }
};

// Tokens that may follow a beam, best first: row r's are r * wanted and on, counts[r] of them.
// A score is the whole caption's log-probability.
struct Candidates {
  float* scores;
  int* tokens;
  int* counts;
  int wanted;
};

// A block takes a row.
template <int threads, int slots, bool wide>
__global__ void __launch_bounds__(threads, 2)
    candidates_kernel(Candidates out, const float* logits, int64_t row_stride, int vocabulary,
                      const float* scores, const int* done, Rules rules, int beams, int position) {
  constexpr int warps = threads / 32;
  SHARED(uint64_t, lists, [warps][32 * slots]);
  const int row = static_cast<int>(blockIdx.x);
  const float score = scores[row];
  if (score > -INFINITY && !done[row / beams] && (position > 0 || row % beams == 0)) {
    const LogitReader<wide> reader{logits + row * row_stride, vocabulary};
    BestKeys<slots> best(out.wanted);
    float maximum = -INFINITY;
    float value[kTogether];
    for (int base = warp_id() * 32 * kTogether; base < vocabulary; base += threads * kTogether) {
      reader.read(value, base);
#pragma unroll
      for (int j = 0; j < kTogether; j++) {
        maximum = fmaxf(maximum, value[j]);
        const int token = reader.token(base, j);
        uint64_t key = value[j] > -INFINITY ? key_of(value[j], token) : kNothing;
        if (key > best.worst && !rules.allow(token)) key = kNothing;
        best.offer(key);
      }
    }
    maximum = block_max<threads>(maximum);
    float sum = 0.0f;
    for (int base = warp_id() * 32 * kTogether; base < vocabulary; base += threads * kTogether) {
      reader.read(value, base);
#pragma unroll
      for (int j = 0; j < kTogether; j++) sum += expf(value[j] - maximum);
    }
    const float log_sum = logf(block_sum<threads>(sum));
#pragma unroll
    for (int i = 0; i < slots; i++)
      if (best.place(i) >= 0) lists[warp_id()][best.place(i)] = best.keys[i];
    __syncthreads();
    if (warp_id() == 0) {
      // The other warps' lists by place, until none has anything better there.
      for (int place = 0; place < out.wanted; place++) {
        const bool other = lane_id() > 0 && lane_id() < warps;
        const uint64_t key = other ? lists[lane_id()][place] : kNothing;
        if (!__any_sync(kAllLanes, key > best.worst)) break;
        best.offer(key);
      }
      const bool finite = isfinite(maximum) && isfinite(log_sum);
      int count = 0;
#pragma unroll
      for (int i = 0; i < slots; i++) {
        const int place = best.place(i);
        const bool valid = finite && place >= 0 && best.keys[i] != kNothing;
        if (valid) {
          const int64_t to = int64_t{row} * out.wanted + place;
          out.scores[to] = score + (value_of(best.keys[i]) - maximum - log_sum);
          out.tokens[to] = index_of(best.keys[i]);
        }
        count += __popc(__ballot_sync(kAllLanes, valid));
      }
      if (lane_id() == 0) out.counts[row] = count;
    }
  } else if (threadIdx.x == 0) {
    out.counts[row] = 0;
  }
}

// The state of the search, as kernels.h describes it, and copies [R, T] of what a step permutes.
struct Search {
  float* scores;
  int *tokens, *sequences, *ancestors;
  float* finished_scores;
  int *finished_sequences, *finished_lengths, *done;
  int *old_sequences, *old_ancestors, *old_finished;
  int beams, length, position, end_token;
  float divisor;  // of scores, by length
};

// What the step decides for one image.
struct Decision {
  float scores[kMaxBeams];
  int parents[kMaxBeams], tokens[kMaxBeams];
  int live;
  // Where each finished caption comes from: an old place, or ~beam for a beam that ends now.
  float finished_scores[kMaxBeams];
  int finished_lengths[kMaxBeams], finished_sources[kMaxBeams];

  // Puts an ended caption among the finished ones, best first, if it is good enough.
  DEVICE void finish(float score, int beam, int beams, int words) {
    if (!(score > finished_scores[beams - 1])) return;
    int place = beams - 1;
    for (; place > 0 && finished_scores[place - 1] < score; place--) {
      finished_scores[place] = finished_scores[place - 1];
      finished_lengths[place] = finished_lengths[place - 1];
      finished_sources[place] = finished_sources[place - 1];
    }
    finished_scores[place] = score;
    finished_lengths[place] = words;
    finished_sources[place] = ~beam;
  }
};

// The next candidate of a beam as a key of score and beam.
DEVICE uint64_t head_of(const Candidates& candidates, int first_row, int beam, int beams,
                        int taken) {
  if (beam >= beams) return kNothing;
  const int64_t row = first_row + beam;
  if (taken == candidates.counts[row]) return kNothing;
  return key_of(candidates.scores[row * candidates.wanted + taken], beam);
}

// Takes the best 2K candidates in order: those that end are finished, the others become the beams.
// Called by one warp, whose lanes look after two beams each.
DEVICE void choose(Decision& decision, const Candidates& candidates, int first_row,
                   const Search& search) {
  const int beams = search.beams;
  int taken[2] = {0, 0};
  uint64_t heads[2];
#pragma unroll
  for (int i = 0; i < 2; i++)
    heads[i] = head_of(candidates, first_row, lane_id() + 32 * i, beams, 0);
  int live = 0;
  for (int rank = 0; rank < 2 * beams && live < beams; rank++) {
    uint64_t best = max(heads[0], heads[1]);
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2)
      best = max(best, __shfl_xor_sync(kAllLanes, best, offset));
    if (best == kNothing) break;
    const int beam = index_of(best);
    int token = 0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      if (heads[i] != best) continue;
      token = candidates.tokens[int64_t{first_row + beam} * candidates.wanted + taken[i]];
      taken[i]++;
      heads[i] = head_of(candidates, first_row, beam, beams, taken[i]);
    }
    token = __shfl_sync(kAllLanes, token, beam % 32);
    const bool ends = token == search.end_token;
    if (lane_id() == 0) {
      if (!ends) {
        decision.scores[live] = value_of(best);
        decision.parents[live] = beam;
        decision.tokens[live] = token;
      } else if (rank < beams) {
        decision.finish(value_of(best) / search.divisor, beam, beams, search.position);
      }
    }
    if (!ends) live++;
  }
  if (lane_id() == 0) decision.live = live;
}

// A block takes an image.
__global__ void __launch_bounds__(kMergeThreads)
    merge_kernel(Search search, Candidates candidates) {
  SHARED(Decision, decisions, [1]);
  Decision& decision = decisions[0];
  const int image = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int beams = search.beams;
  const int position = search.position;
  const int first_row = image * beams;
  if (!search.done[image]) {
    // Calls body(beam, its offset in [R, T] at t) for each earlier position t of each beam.
    const auto each_word = [&](auto body) {
      for (int i = thread; i < beams * position; i += kMergeThreads) {
        const int beam = i / position;
        const int t = i % position;
        body(beam, int64_t{first_row + beam} * search.length + t, t);
      }
    };
    each_word([&](int, int64_t at, int) {
      search.old_sequences[at] = search.sequences[at];
      search.old_ancestors[at] = search.ancestors[at];
      search.old_finished[at] = search.finished_sequences[at];
    });
    if (thread < beams) {
      decision.finished_scores[thread] = search.finished_scores[first_row + thread];
      decision.finished_lengths[thread] = search.finished_lengths[first_row + thread];
      decision.finished_sources[thread] = thread;
    }
    __syncthreads();
    if (warp_id() == 0) choose(decision, candidates, first_row, search);
    __syncthreads();
    const auto row_of = [&](int beam, int t) {
      return int64_t{first_row + beam} * search.length + t;
    };
    each_word([&](int beam, int64_t at, int t) {
      if (beam < decision.live) {
        const int64_t from = row_of(decision.parents[beam], t);
        search.sequences[at] = search.old_sequences[from];
        search.ancestors[at] = search.old_ancestors[from];
      }
      const int source = decision.finished_sources[beam];
      if (source != beam)
        search.finished_sequences[at] = source < 0 ? search.old_sequences[row_of(~source, t)]
                                                   : search.old_finished[row_of(source, t)];
    });
    if (thread < beams) {
      const int row = first_row + thread;
      const bool live = thread < decision.live;
      search.scores[row] = live ? decision.scores[thread] : -INFINITY;
      search.tokens[row] = live ? decision.tokens[thread] : search.end_token;
      if (live) {
        // The newest key and value of the parent are in the parent's row of the cache.
        search.ancestors[row_of(thread, position)] = first_row + decision.parents[thread];
        search.sequences[row_of(thread, position)] = decision.tokens[thread];
      }
      search.finished_scores[row] = decision.finished_scores[thread];
      search.finished_lengths[row] = decision.finished_lengths[thread];
    }
    if (thread == 0) {
      const float best = decision.live > 0 ? decision.scores[0] : -INFINITY;
      search.done[image] = !(decision.finished_scores[beams - 1] < best / search.divisor);
    }
  }
}

template <int threads, int slots, bool wide>
void find_candidates(const Candidates& out, Tensor logits, Tensor scores, Tensor done,
                     const Rules& rules, int beams, int position, Stream& stream) {
  launch(candidates_kernel<threads, slots, wide>, static_cast<unsigned>(logits.shape[0]), threads,
         0, stream, out, data<float>(logits), logits.row_stride, logits.shape[1],
         data<float>(scores), data<int>(done), rules, beams, position);
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void beam_step(Tensor scores, Tensor tokens, Tensor sequences, Tensor ancestors,
               Tensor finished_scores, Tensor finished_sequences, Tensor finished_lengths,
               Tensor done, Tensor logits, Tensor forbidden, int beams, int position, int end_token,
               int min_tokens, float length_penalty, Stream& stream) {
  if (beams > kMaxBeams) throw InternalError("more than 64 beams");
  const int rows = logits.shape[0];
  const int length = sequences.shape[1];
  const int wanted = 2 * beams;
  const auto ints = [&](int64_t count) {
    return static_cast<int*>(stream.scratch(sizeof(int) * static_cast<size_t>(count)));
  };
  const int64_t found = int64_t{rows} * wanted;
  const int64_t words = int64_t{rows} * length;
  const Candidates candidates{static_cast<float*>(stream.scratch(sizeof(float) * found)),
                              ints(found), ints(rows), wanted};
  const Rules rules{data<int>(forbidden), forbidden ? static_cast<int>(forbidden.size()) : 0,
                    end_token, position + 1 > min_tokens};
  const Search search{data<float>(scores),
                      data<int>(tokens),
                      data<int>(sequences),
                      data<int>(ancestors),
                      data<float>(finished_scores),
                      data<int>(finished_sequences),
                      data<int>(finished_lengths),
                      data<int>(done),
                      ints(words),
                      ints(words),
                      ints(words),
                      beams,
                      length,
                      position,
                      end_token,
                      std::pow(static_cast<float>(position + 1), length_penalty)};
  const bool wide =
      aligned(logits) && logits.row_stride % kTogether == 0 && logits.shape[1] % kTogether == 0;
  const auto find = [&](auto threads, auto slots) {
    (wide ? find_candidates<threads(), slots(), true>
          : find_candidates<threads(), slots(), false>)(candidates, logits, scores, done, rules,
                                                        beams, position, stream);
  };
  using Few = std::integral_constant<int, 128>;
  using Many = std::integral_constant<int, 512>;
  using Short = std::integral_constant<int, 1>;
  using Long = std::integral_constant<int, 4>;
  if (logits.shape[1] <= 2048) {
    wanted <= 32 ? find(Few{}, Short{}) : find(Few{}, Long{});
  } else {
    wanted <= 32 ? find(Many{}, Short{}) : find(Many{}, Long{});
  }
  launch(merge_kernel, static_cast<unsigned>(rows / beams), kMergeThreads, 0, stream, search,
         candidates);
}

}  // namespace cuda
