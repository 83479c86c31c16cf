// Multi-head attention over short packed rows and its gradient. One work item is all that one head
// does with one set of keys: the rows that share the keys (captions of one image) lie next to each
// other and are handled as one block of queries. Scores are kept transposed, [keys, queries]:
// softmax then runs down columns, a vector of queries at a time, and needs no sums across a vector.
// Bound by arithmetic.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "../binding/device.h"
#include "../binding/errors.h"
#include "../binding/tensor.h"
#include "attention_few.h"
#include "attention_tiles.h"
#include "random.h"
#include "small_product.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

// --- One call.

struct Call {
  Tensor q, k, v, query_offsets, key_offsets, rng;
  int heads, rows_per_key;
  bool causal;
  float probability;
  int tag, max_keys;
  int size, width;  // of a head; width is padded
  int block;        // most queries of a tile
  float scale;

  Call(Tensor q, Tensor k, Tensor v, Tensor query_offsets, Tensor key_offsets, Tensor rng,
       int heads, int rows_per_key, bool causal, float probability, int tag, int max_queries,
       int max_keys)
      : q(q),
        k(k),
        v(v),
        query_offsets(query_offsets),
        key_offsets(key_offsets),
        rng(rng),
        heads(heads),
        rows_per_key(rows_per_key),
        causal(causal),
        probability(probability),
        tag(tag),
        max_keys(std::max(max_keys, 1)),
        size(q.columns() / heads),
        width(padded(size, kLanes)),
        scale(1 / std::sqrt(static_cast<float>(size))) {
    // A tile of scores of about 32 KiB stays in the first-level cache.
    const int fitting = std::clamp(8192 / this->max_keys / kLanes * kLanes, 32, 64);
    block = std::min(fitting, padded(std::max(max_queries, 1) * rows_per_key, kLanes));
    check();
  }

  // Offsets live on the device, so TypeScript could not look at them.
  void check() const {
    check(query_offsets, q.rows(), "queries");
    check(key_offsets, k.rows(), "keys");
    for (int g = 0; g < groups(); g++) {
      const int keys = key_offsets.i32()[g + 1] - key_offsets.i32()[g];
      if (keys > max_keys)
        throw ArgumentError("row " + std::to_string(g) + " has " + std::to_string(keys) +
                            " keys, more than the given maximum of " + std::to_string(max_keys));
    }
  }
  static void check(Tensor offsets, int64_t rows, const char* what) {
    const int* o = offsets.i32();
    const int64_t last = offsets.size() - 1;
    if (o[0] != 0 || o[last] != rows || !std::is_sorted(o, o + last + 1))
      throw ArgumentError(std::string("offsets of ") + what + " must rise from 0 to " +
                          std::to_string(rows));
  }

  bool drops() const { return rng && probability > 0; }
  int groups() const { return static_cast<int>(key_offsets.size()) - 1; }
};

// One head of the rows that share keys: queries q0 .. q0 + queries, keys k0 .. k0 + keys.
struct Item {
  int group, head, q0, queries, k0, keys;
  Item(const Call& call, int index) : group(index / call.heads), head(index % call.heads) {
    const int* offsets = call.query_offsets.i32();
    const int first = group * call.rows_per_key;
    q0 = offsets[first];
    queries = offsets[first + call.rows_per_key] - q0;
    k0 = call.key_offsets.i32()[group];
    keys = call.key_offsets.i32()[group + 1] - k0;
  }
  // The item's part of a tensor of queries or keys, [rows, heads * size].
  float* part(Tensor t, int row, const Call& call) const {
    return t.f32() + row * t.row_stride + static_cast<int64_t>(head) * call.size;
  }
};

// Tiles of one thread.
struct Tiles {
  float *keys, *values, *queries, *queries_across, *scores, *out;
  float *maxima, *sums, *log_sums, *factors, *factors_across;
  float *dout, *dout_across, *dscores, *dkeys, *dvalues;
  int* visible;
  size_t floats = 0;

  // Without a base only `floats` is of use: how much a thread needs.
  Tiles(float* base, const Call& call, bool backward) {
    const auto take = [&](int64_t count) {
      float* tile = base ? base + floats : nullptr;
      floats += static_cast<size_t>((count + kLanes - 1) / kLanes * kLanes);
      return tile;
    };
    const int64_t key_tile = static_cast<int64_t>(padded(call.max_keys, 4)) * call.width;
    const int64_t query_tile = static_cast<int64_t>(call.block) * call.width;
    const int64_t score_tile = static_cast<int64_t>(padded(call.max_keys, 4)) * call.block;
    keys = take(key_tile);
    values = take(key_tile);
    queries = take(query_tile);
    queries_across = take(query_tile);
    scores = take(score_tile);
    out = take(query_tile);
    maxima = take(call.block);
    sums = take(call.block);
    log_sums = take(call.block);
    visible = reinterpret_cast<int*>(take(call.block));
    // Four more than the rows: their last columns are read four at a time.
    factors = take(call.drops() ? static_cast<int64_t>(call.block) * call.max_keys + 4 : 0);
    factors_across = take(call.drops() ? score_tile : 0);
    dout = take(backward ? query_tile : 0);
    dout_across = take(backward ? query_tile : 0);
    dscores = take(backward ? score_tile : 0);
    dkeys = take(backward ? key_tile : 0);
    dvalues = take(backward ? key_tile : 0);
  }
};

void load_keys(const Call& call, const Item& item, const Tiles& tiles) {
  load_rows(tiles.keys, item.part(call.k, item.k0, call), call.k.row_stride, item.keys, call.size,
            1);
  load_rows(tiles.values, item.part(call.v, item.k0, call), call.v.row_stride, item.keys, call.size,
            1);
}

// A block of queries of an item: `count` from `first` on, in `lanes` lanes; none sees a key from
// `keys` on.
struct Block {
  int first, count, lanes, keys, keys4;

  Block(const Call& call, const Item& item, const Tiles& tiles, int first)
      : first(first),
        count(std::min(call.block, item.queries - first)),
        lanes(padded(count, kLanes)),
        keys(item.keys) {
    if (call.causal) {
      const int* offsets = call.query_offsets.i32();
      int row = item.group * call.rows_per_key;
      keys = 0;
      for (int i = 0; i < lanes; i++) {
        const int query = item.q0 + first + std::min(i, count - 1);
        while (query >= offsets[row + 1]) row++;
        tiles.visible[i] = std::min(query - offsets[row] + 1, item.keys);
        keys = std::max(keys, tiles.visible[i]);
      }
    }
    // In fours here too: a later block may see the keys that would otherwise be padding.
    keys = std::min(padded(keys, 4), item.keys);
    keys4 = padded(keys, 4);
  }
};

// Scores of a block, the hidden ones -infinity.
void score(const Call& call, const Item& item, const Tiles& tiles, const Block& block) {
  const int size4 = padded(call.size, 4);
  load_rows(tiles.queries, item.part(call.q, item.q0 + block.first, call), call.q.row_stride,
            block.count, call.size, call.scale);
  transpose(tiles.queries_across, block.lanes, tiles.queries, call.width, padded(block.count, 4),
            size4);
  multiply_small({tiles.scores, block.lanes, tiles.keys, call.width, 1, tiles.queries_across,
                  block.lanes, block.keys4, block.lanes, call.size});
  if (call.causal)
    hide(tiles.scores, block.lanes, *std::min_element(tiles.visible, tiles.visible + block.lanes),
         block.keys, tiles.visible);
}

// Factors of dropout, [keys, lanes]. The element of a probability is (head, query, key): its index
// is (head * queries of all rows + query) * max_keys + key.
void load_factors(const Call& call, const Item& item, const Tiles& tiles, const Block& block) {
  const int64_t row = item.head * call.q.rows() + item.q0 + block.first;
  const int64_t count = static_cast<int64_t>(block.count) * call.max_keys;
  dropout_factors(tiles.factors, row * call.max_keys, count, Randomness(call.rng, call.tag),
                  call.probability);
  const int rows = padded(block.count, 4);
  std::fill(tiles.factors + count, tiles.factors + static_cast<int64_t>(rows) * call.max_keys + 4,
            0.0f);
  transpose(tiles.factors_across, block.lanes, tiles.factors, call.max_keys, rows, block.keys4);
}

void clear_rows(float* x, int64_t stride, int rows, int columns) {
  for (int i = 0; i < rows; i++) std::memset(x + i * stride, 0, sizeof(float) * columns);
}

void attend(Tensor out, Tensor log_sum_exp, const Call& call, const Item& item,
            const Tiles& tiles) {
  float* log_sums = log_sum_exp ? log_sum_exp.f32() + item.head * call.q.rows() + item.q0 : nullptr;
  if (item.keys == 0) {
    clear_rows(item.part(out, item.q0, call), out.row_stride, item.queries, call.size);
    if (log_sums) std::fill(log_sums, log_sums + item.queries, 0.0f);
    return;
  }
  load_keys(call, item, tiles);
  for (int first = 0; first < item.queries; first += call.block) {
    const Block block(call, item, tiles, first);
    score(call, item, tiles, block);
    exponentials(tiles.scores, block.lanes, block.keys, tiles.maxima, tiles.sums);
    for (int i = 0; i < block.count; i++) {
      if (log_sums) log_sums[first + i] = tiles.maxima[i] + std::log(tiles.sums[i]);
      tiles.sums[i] = 1 / tiles.sums[i];
    }
    if (call.drops()) {
      load_factors(call, item, tiles, block);
      scale_by(tiles.scores, tiles.factors_across, block.keys * block.lanes);
    }
    multiply_small({tiles.out, call.width, tiles.scores, 1, block.lanes, tiles.values, call.width,
                    padded(block.count, 4), call.width, block.keys});
    store_rows(item.part(out, item.q0 + first, call), out.row_stride, tiles.out, tiles.sums, 1,
               block.count, call.size);
  }
}

// p = softmax(s), s = scale q k^T, out = (p f) v with dropout's factors f. With dp = f (dout v^T):
// ds = p (dp - sum p dp), dq = scale ds k, dk = ds^T (scale q), dv = (p f)^T dout.
void attend_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor log_sum_exp,
                     const Call& call, const Item& item, const Tiles& tiles) {
  const float* log_sums = log_sum_exp.f32() + item.head * call.q.rows() + item.q0;
  if (item.keys == 0) {
    clear_rows(item.part(dq, item.q0, call), dq.row_stride, item.queries, call.size);
    return;
  }
  load_keys(call, item, tiles);
  const size_t key_bytes = sizeof(float) * padded(item.keys, 4) * call.width;
  std::memset(tiles.dkeys, 0, key_bytes);
  std::memset(tiles.dvalues, 0, key_bytes);
  const int size4 = padded(call.size, 4);
  for (int first = 0; first < item.queries; first += call.block) {
    const Block block(call, item, tiles, first);
    const int count4 = padded(block.count, 4);
    score(call, item, tiles, block);
    std::copy_n(log_sums + first, block.count, tiles.log_sums);
    std::fill(tiles.log_sums + block.count, tiles.log_sums + block.lanes, 0.0f);
    probabilities(tiles.scores, block.lanes, block.keys, tiles.log_sums);

    load_rows(tiles.dout, item.part(dout, item.q0 + first, call), dout.row_stride, block.count,
              call.size, 1);
    transpose(tiles.dout_across, block.lanes, tiles.dout, call.width, count4, size4);
    multiply_small({tiles.dscores, block.lanes, tiles.values, call.width, 1, tiles.dout_across,
                    block.lanes, block.keys4, block.lanes, call.size});
    if (call.drops()) {
      load_factors(call, item, tiles, block);
      scale_by(tiles.dscores, tiles.factors_across, block.keys * block.lanes);
    }
    softmax_gradient(tiles.dscores, tiles.scores, block.lanes, block.keys, tiles.sums);
    if (call.drops()) scale_by(tiles.scores, tiles.factors_across, block.keys * block.lanes);

    multiply_small({tiles.dvalues, call.width, tiles.scores, block.lanes, 1, tiles.dout, call.width,
                    block.keys4, call.width, block.count, true});
    multiply_small({tiles.dkeys, call.width, tiles.dscores, block.lanes, 1, tiles.queries,
                    call.width, block.keys4, call.width, block.count, true});
    multiply_small({tiles.out, call.width, tiles.dscores, 1, block.lanes, tiles.keys, call.width,
                    count4, call.width, block.keys});
    store_rows(item.part(dq, item.q0 + first, call), dq.row_stride, tiles.out, &call.scale, 0,
               block.count, call.size);
  }
  const float one = 1;
  store_rows(item.part(dk, item.k0, call), dk.row_stride, tiles.dkeys, &one, 0, item.keys,
             call.size);
  store_rows(item.part(dv, item.k0, call), dv.row_stride, tiles.dvalues, &one, 0, item.keys,
             call.size);
}

// Calls work(item, tiles) for every head of every group. Heads of one group stay on one thread when
// there are groups enough, because they read the same rows.
template <class Work>
void for_each_item(const Call& call, bool backward, Stream& stream, Work work) {
  const int items = call.groups() * call.heads;
  const int threads = std::max(1, std::min(omp_get_max_threads(), items));
  const size_t floats = Tiles(nullptr, call, backward).floats;
  auto* base = static_cast<float*>(stream.scratch(sizeof(float) * floats * threads));
  const int chunk = call.groups() >= 4 * threads ? call.heads : 1;
#pragma omp parallel num_threads(threads)
  {
    const Tiles tiles(base + floats * omp_get_thread_num(), call, backward);
#pragma omp for schedule(dynamic, chunk)
    for (int i = 0; i < items; i++) work(Item(call, i), tiles);
  }
}

// --- Decoding.

// Whether a call has a few queries to each set of keys, and wants only what they see.
bool few_queries(const Call& call, Tensor log_sum_exp) {
  if (call.causal || call.drops() || log_sum_exp) return false;
  for (int group = 0; group < call.groups(); group++)
    if (Item(call, group * call.heads).queries > kMostFewQueries) return false;
  return true;
}

// All heads of a group together, or shares of them where there are fewer groups than threads.
void attend_few_queries(Tensor out, const Call& call, Stream& stream) {
  const int threads = omp_get_max_threads();
  const int groups = std::max(1, call.groups());
  const int shares = std::clamp((threads + groups - 1) / groups, 1, call.heads);
  const int64_t room = int64_t{call.heads} * kMostFewQueries * padded(call.max_keys, kLanes);
  auto* weights = static_cast<float*>(stream.scratch(sizeof(float) * room * threads));
#pragma omp parallel for schedule(static)
  for (int i = 0; i < call.groups() * shares; i++) {
    const int first = i % shares * call.heads / shares;
    const int last = (i % shares + 1) * call.heads / shares;
    const Item item(call, i / shares * call.heads + first);
    attend_few({item.part(out, item.q0, call), out.row_stride, item.part(call.q, item.q0, call),
                call.q.row_stride, item.part(call.k, item.k0, call), call.k.row_stride,
                item.part(call.v, item.k0, call), call.v.row_stride, item.queries, item.keys,
                last - first, call.size, weights + room * omp_get_thread_num()});
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------

void attention(Tensor out, Tensor log_sum_exp, Tensor q, Tensor k, Tensor v, Tensor query_offsets,
               Tensor key_offsets, Tensor rng, int heads, int rows_per_key, bool causal,
               float probability, int tag, int max_queries, int max_keys, Stream& stream) {
  const Call call(q, k, v, query_offsets, key_offsets, rng, heads, rows_per_key, causal,
                  probability, tag, max_queries, max_keys);
  if (few_queries(call, log_sum_exp)) return attend_few_queries(out, call, stream);
  for_each_item(call, false, stream, [&](const Item& item, const Tiles& tiles) {
    attend(out, log_sum_exp, call, item, tiles);
  });
}

void attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor, Tensor log_sum_exp,
                        Tensor q, Tensor k, Tensor v, Tensor query_offsets, Tensor key_offsets,
                        Tensor rng, int heads, int rows_per_key, bool causal, float probability,
                        int tag, int max_queries, int max_keys, Stream& stream) {
  const Call call(q, k, v, query_offsets, key_offsets, rng, heads, rows_per_key, causal,
                  probability, tag, max_queries, max_keys);
  for_each_item(call, true, stream, [&](const Item& item, const Tiles& tiles) {
    attend_backward(dq, dk, dv, dout, log_sum_exp, call, item, tiles);
  });
}

}  // namespace cpu
