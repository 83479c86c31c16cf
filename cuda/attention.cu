// Multi-head attention over packed rows, and its gradient: which kernel runs, and with what shape.
// Tensor cores where bf16, head size and alignment allow (attention/forward.cuh, backward.cuh),
// tiles of float32 arithmetic for all else (attention/tile_forward.cuh,
// tile_backward.cuh). Decoding is attention_cache.cu's.
#include <algorithm>
#include <cmath>

#include "attention/backward.cuh"
#include "attention/forward.cuh"
#include "attention/tile_backward.cuh"
#include "attention/tile_forward.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

using namespace attending;

// What every supported GPU lets a block have.
constexpr size_t kSharedBytes = 99 * 1024;

template <class T>
View<T> view(Tensor t) {
  return {data<std::remove_const_t<T>>(t), t.row_stride};
}

struct Call {
  Packing packing;
  Dropout dropout;
  float scale;
  int64_t max_queries;  // of a group

  Call(Tensor q, Tensor k, Tensor query_offsets, Tensor key_offsets, Tensor rng, int heads,
       int rows_per_key, bool causal, float probability, int tag, int longest_row, int max_keys)
      : packing{data<int>(query_offsets),
                data<int>(key_offsets),
                static_cast<int>(q.rows()),
                static_cast<int>(k.rows()),
                static_cast<int>(key_offsets.size()) - 1,
                rows_per_key,
                std::max(max_keys, 1),
                heads,
                q.columns() / heads,
                causal},
        dropout{rng && probability > 0 ? data<int>(rng) : nullptr, tag,
                DropoutRate(rng ? probability : 0.0f)},
        scale(1 / std::sqrt(static_cast<float>(q.columns() / heads))),
        max_queries(std::min(std::max<int64_t>(longest_row, 1) * rows_per_key,
                             std::max<int64_t>(q.rows(), 1))) {}

  // Without any group one block clears the rows of each head.
  unsigned blocks() const {
    return static_cast<unsigned>(std::max(packing.groups, 1) * packing.heads);
  }
  int strips() const { return static_cast<int>(ceil_div<int64_t>(max_queries, kStrip)); }
  int key_strips() const { return ceil_div(packing.max_keys, kStrip); }
};

// Whether rows of these tensors' heads can be moved 16 bytes at a time.
template <class... Tensors>
bool movable(Tensors... tensors) {
  return aligned(tensors...) && ((tensors.row_stride % 8 == 0) && ...);
}

// Calls body<size>() for a head size that has kernels of its own; says whether there is one.
template <class Body>
bool with_head_size(int size, Body body) {
  switch (size) {
    case 32:
      body(std::integral_constant<int, 32>{});
      return true;
    case 64:
      body(std::integral_constant<int, 64>{});
      return true;
    case 96:
      body(std::integral_constant<int, 96>{});
      return true;
    case 128:
      body(std::integral_constant<int, 128>{});
      return true;
    default:
      return false;
  }
}

template <int size>
void launch_forward(const Call& call, Tensor out, float* log_sum_exp, Tensor q, Tensor k, Tensor v,
                    Stream& stream) {
  // As many warps as have strips of queries or a share of the copying, in even rounds.
  const int rounds = ceil_div(call.strips(), kForwardWarps);
  const int warps =
      std::max(ceil_div(call.strips(), rounds), std::min(call.key_strips() / 2, kForwardWarps));
  const int most = static_cast<int>((kSharedBytes - forward_shared_bytes<size>(warps, 0)) /
                                    forward_shared_bytes<size>(0, kStrip));
  const int parts = ceil_div(call.key_strips(), most);
  const int capacity = ceil_div(call.key_strips(), parts) * kStrip;
  // Blocks that share a group each load its keys: only where multiprocessors would be idle.
  const int wanted = ceil_div(2 * gpu(stream).multiprocessors(), static_cast<int>(call.blocks()));
  const dim3 grid(call.blocks(), static_cast<unsigned>(std::min(rounds, wanted)));
  launch(attention_kernel<size>, grid, warps * 32, forward_shared_bytes<size>(warps, capacity),
         stream, view<bf16>(out), log_sum_exp, view<const bf16>(q), view<const bf16>(k),
         view<const bf16>(v), call.packing, call.dropout, call.scale, capacity);
}

template <int size>
void launch_backward(const Call& call, Tensor dq, Tensor dk, Tensor dv, BackwardInputs from,
                     Stream& stream) {
  const int parts = ceil_div(call.key_strips(), kBackwardWarps<size>);
  const int warps = ceil_div(call.key_strips(), parts);
  const size_t shared = BackwardTiles<size>::bytes(warps);
  static_assert(BackwardTiles<size>::bytes(kBackwardWarps<size>) <= kSharedBytes);
  View<float> partial{nullptr, int64_t{call.packing.heads} * size};
  if (parts > 1)
    partial.data =
        static_cast<float*>(stream.scratch(sizeof(float) * call.packing.queries * partial.stride));
  launch(attention_backward_kernel<size>, call.blocks(), warps * 32, shared, stream, view<bf16>(dq),
         view<bf16>(dk), view<bf16>(dv), from, partial, call.packing, call.dropout, call.scale);
}

// Heads and groups, tiles of rows (a longer row than said takes more turns), columns.
dim3 tile_grid(const Call& call, int64_t rows) {
  return dim3(call.blocks(),
              static_cast<unsigned>(std::min<int64_t>(ceil_div<int64_t>(rows, kTile), 65535)),
              static_cast<unsigned>(ceil_div(call.packing.size, kColumns)));
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void attention(Tensor out, Tensor log_sum_exp, Tensor q, Tensor k, Tensor v, Tensor query_offsets,
               Tensor key_offsets, Tensor rng, int heads, int rows_per_key, bool causal,
               float probability, int tag, int max_queries, int max_keys, Stream& stream) {
  const Call call(q, k, query_offsets, key_offsets, rng, heads, rows_per_key, causal, probability,
                  tag, max_queries, max_keys);
  float* log_sums = data<float>(log_sum_exp);
  const bool tuned = q.dtype == Dtype::bfloat16 && movable(out, q, k, v) &&
                     with_head_size(call.packing.size, [&](auto size) {
                       launch_forward<size()>(call, out, log_sums, q, k, v, stream);
                     });
  if (tuned) return;
  with_float_type(q, [&]<class T>(T) {
    launch(attention_tile_kernel<T>, tile_grid(call, call.max_queries), kTileThreads, 0, stream,
           view<T>(out), log_sums, view<const T>(q), view<const T>(k), view<const T>(v),
           call.packing, call.dropout, call.scale);
  });
}

void attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out,
                        Tensor log_sum_exp, Tensor q, Tensor k, Tensor v, Tensor query_offsets,
                        Tensor key_offsets, Tensor rng, int heads, int rows_per_key, bool causal,
                        float probability, int tag, int max_queries, int max_keys, Stream& stream) {
  const Call call(q, k, query_offsets, key_offsets, rng, heads, rows_per_key, causal, probability,
                  tag, max_queries, max_keys);
  const float* log_sums = data<float>(log_sum_exp);
  const bool tuned =
      q.dtype == Dtype::bfloat16 && movable(dq, dk, dv, dout, out, q, k, v) &&
      with_head_size(call.packing.size, [&](auto size) {
        launch_backward<size()>(call, dq, dk, dv,
                                {view<const bf16>(dout), view<const bf16>(out), log_sums,
                                 view<const bf16>(q), view<const bf16>(k), view<const bf16>(v)},
                                stream);
      });
  if (tuned) return;
  with_float_type(q, [&]<class T>(T) {
    const TileInputs<T> from{view<const T>(dout), view<const T>(out), log_sums,
                             view<const T>(q),    view<const T>(k),   view<const T>(v)};
    launch(attention_query_gradient_kernel<T>, tile_grid(call, call.max_queries), kTileThreads, 0,
           stream, view<T>(dq), from, call.packing, call.dropout, call.scale);
    launch(attention_key_gradient_kernel<T>, tile_grid(call, call.packing.max_keys), kTileThreads,
           0, stream, view<T>(dk), view<T>(dv), from, call.packing, call.dropout, call.scale);
  });
}

}  // namespace cuda
