// Which rows of the packed tensors belong together, as all attention kernels see it, and which
// probabilities dropout keeps.
#pragma once
#include "../device/random.cuh"
#include "../device/reduce.cuh"
#include "../device/vector.cuh"

namespace cuda::attending {

// Some columns of a matrix; stride: elements from row to row.
template <class T>
struct View {
  T* data;
  int64_t stride;
  DEVICE T* at(int64_t row, int column) const { return data + row * stride + column; }
};

struct Packing {
  const int* query_offsets;
  const int* key_offsets;
  int queries, keys;  // rows of q and of k
  int groups, rows_per_key, max_keys;
  int heads, size;
  bool causal;
};

// Rows first .. first + count of a tensor; those from there to `next` belong to no sequence.
struct Span {
  int first, count, next;
};

// Rows `index` of those that `offsets`, every `step`-th of it, parts a tensor into. The host cannot
// look at offsets in device memory: whatever they say, a span stays inside the tensor and within
// `longest`. Offsets that do not rise give wrong results, not wrong addresses.
DEVICE Span span(const int* offsets, int step, int index, int spans, int rows, int longest) {
  if (spans == 0) return {0, 0, rows};
  const int first = min(max(offsets[int64_t{index} * step], 0), rows);
  const int end = min(max(offsets[int64_t{index + 1} * step], first), rows);
  const int next = index + 1 < spans ? end : rows;
  return {uniform(first), uniform(min(end - first, longest)), uniform(next)};
}

// One head of the rows that share keys.
struct Group {
  int index, head, column;  // column: the head's first
  Span queries, keys;

  DEVICE Group(const Packing& p, int block)
      : index(block / p.heads),
        head(block % p.heads),
        column(head * p.size),
        queries(span(p.query_offsets, p.rows_per_key, index, p.groups, p.queries, p.queries)),
        keys(span(p.key_offsets, 1, index, p.groups, p.keys, p.max_keys)) {}
};

// How many keys a query of the group sees; none when there is no such query.
DEVICE int seen_keys(const Packing& p, const Group& group, int query) {
  if (query >= group.queries.count) return 0;
  if (!p.causal) return group.keys.count;
  int start = 0;
  for (int row = 1; row < p.rows_per_key; row++) {
    const int64_t at = int64_t{group.index} * p.rows_per_key + row;
    const int next = p.query_offsets[at] - group.queries.first;
    if (next > query) break;
    start = max(next, start);
  }
  return min(query - start + 1, group.keys.count);
}

// A bound of that over the queries first .. first + count, the same for all threads.
DEVICE int seen_keys_limit(const Packing& p, const Group& group, int first, int count) {
  if (!p.causal || p.rows_per_key > 1) return group.keys.count;
  return min(min(first + count, group.queries.count), group.keys.count);
}

// The head's columns of rows of no sequence become zero; for the whole block.
template <class T>
DEVICE void clear_rows(const View<T>& x, const Group& group, int size, int first, int end) {
  for (int row = first; row < end; row++)
    for (int i = threadIdx.x; i < size; i += blockDim.x)
      *x.at(row, group.column + i) = from_float<T>(0.0f);
}
template <class T>
DEVICE void clear_gaps(const View<T>& x, const Group& group, int size, const Span& span) {
  if (group.index == 0) clear_rows(x, group, size, 0, span.first);
  clear_rows(x, group, size, span.first + span.count, span.next);
}

// Dropout of probabilities. Element (head, query, key) has the index (head * queries + query) *
// max_keys + key, where queries are those of all rows, as on the CPU.
struct Dropout {
  const int* rng;  // null: none
  int tag;
  DropoutRate rate;

  DEVICE int64_t element(const Packing& p, const Group& group, int query, int key) const {
    return (int64_t{group.head} * p.queries + group.queries.first + query) * p.max_keys + key;
  }
};

// Bit i: whether element 8 * block + i is kept.
DEVICE uint32_t kept_byte(int64_t block, const Randomness& by, DropoutRate rate) {
  const uint4 bits = philox(static_cast<uint64_t>(block), by);
  const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
  uint32_t kept = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    kept |= static_cast<uint32_t>((words[i] & 0xffffu) >= rate.threshold) << (2 * i);
    kept |= static_cast<uint32_t>((words[i] >> 16) >= rate.threshold) << (2 * i + 1);
  }
  return kept;
}

// Bit i: whether element first + i is kept, for i below `elements` (at most 32). `lanes`
// neighbouring lanes ask for the same elements and share the work; all of a warp's lanes call.
template <int elements, int lanes>
DEVICE uint32_t kept_elements(int64_t first, const Dropout& dropout) {
  const Randomness by(dropout.rng, dropout.tag);
  const int64_t block = first >> 3;
  const int shift = static_cast<int>(first & 7);
  uint32_t bits = 0;
  for (int i = lane_id() % lanes; i < elements / 8; i += lanes)
    bits |= kept_byte(block + i, by, dropout.rate) << (8 * i);
#pragma unroll
  for (int offset = 1; offset < lanes; offset *= 2)
    bits |= __shfl_xor_sync(kAllLanes, bits, offset);
  uint64_t all = bits;
  if (shift != 0) all |= uint64_t{kept_byte(block + elements / 8, by, dropout.rate)} << elements;
  return static_cast<uint32_t>(all >> shift);
}

}  // namespace cuda::attending
