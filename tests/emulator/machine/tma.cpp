// TMA: boxes of a tensor between global and shared memory. Facts: PTX ISA, "Tensors" and
// "cp.async.bulk.tensor".
#include <array>
#include <atomic>
#include <cstring>

#include "block.h"
#include "emulator/asynchronous.h"
#include "profile.h"
#include "swizzle.h"
#include "tensor_map.h"

namespace emulator {
namespace {

TensorMap decode(const CUtensorMap* map, int rank, bool im2col) {
  if (settings().capability < 90) fail("TMA needs compute capability 9.0");
  if (reinterpret_cast<uintptr_t>(map) % 64) fail("TMA: the tensor map is not aligned to 64 bytes");
  TensorMap t;
  std::memcpy(&t, map, sizeof t);
  if (t.tag != TensorMap::kTag) fail("TMA: this is not an encoded tensor map");
  if (t.rank != rank) fail("TMA: rank %d, but the tensor map has %d", rank, int{t.rank});
  if ((t.im2col != 0) != im2col)
    fail("TMA: the tensor map is %s, the instruction is not", t.im2col ? "im2col" : "tiled");
  return t;
}

uint32_t box_address(const TensorMap& t, const void* shared) {
  const uint32_t address = shared_address(shared);
  const uint32_t alignment = t.swizzle ? 128u << t.swizzle : 128u;
  if (address % alignment) fail("TMA: shared address %u is not aligned to %u", address, alignment);
  return address;
}

struct Coordinates {
  std::array<int, 5> at{};
  std::array<int, 3> offset{};
};

// Calls chunk(shared address, global address or null, bytes inside of the tensor) for each 16 bytes
// of the box.
template <class F>
void each_chunk(const TensorMap& t, uint32_t shared, const Coordinates& from, F chunk) {
  const int per_chunk = 16 / t.element_bytes;
  const int inner = t.im2col ? t.channels : t.box[0];
  uint32_t written = 0;
  const auto run = [&](const std::array<int, 5>& x) {
    const char* global = t.address;
    bool inside = true;
    for (int d = 1; d < t.rank; d++) {
      if (x[d] < 0 || static_cast<uint32_t>(x[d]) >= t.size[d])
        inside = false;
      else
        global += t.stride[d] * static_cast<uint64_t>(x[d]);
    }
    for (int i = 0; i < inner; i += per_chunk, written += 16) {
      const int64_t first = x[0] + i, left = static_cast<int64_t>(t.size[0]) - first;
      if (inside && first < 0 && first + per_chunk > 0)
        fail("TMA: a box that begins within 16 bytes before the tensor is not emulated");
      const int64_t valid =
          inside && first >= 0 && left > 0 ? std::min<int64_t>(per_chunk, left) : 0;
      chunk(swizzle(shared + written, t.swizzle),
            valid ? global + first * t.element_bytes : nullptr,
            static_cast<int>(valid) * t.element_bytes);
    }
  };
  std::array<int, 5> x = from.at;
  if (!t.im2col) {
    std::array<int, 5> steps{1, 1, 1, 1, 1}, k{};
    for (int d = 1; d < t.rank; d++)
      steps[d] = (t.box[d] + t.element_stride[d] - 1) / t.element_stride[d];
    for (k[4] = 0; k[4] < steps[4]; k[4]++)
      for (k[3] = 0; k[3] < steps[3]; k[3]++)
        for (k[2] = 0; k[2] < steps[2]; k[2]++)
          for (k[1] = 0; k[1] < steps[1]; k[1]++) {
            for (int d = 1; d < t.rank; d++) x[d] = from.at[d] + k[d] * t.element_stride[d];
            run(x);
          }
    return;
  }
  // The pixels of the bounding box in order, then those of the next image.
  const int axes = t.rank - 2;
  std::array<int, 3> low{}, high{};
  for (int a = 0; a < axes; a++) {
    low[a] = t.lower[a] + from.offset[a];
    high[a] = static_cast<int>(t.size[1 + a]) - 1 + t.upper[a] + from.offset[a];
    x[1 + a] += from.offset[a];
  }
  for (int p = 0; p < t.pixels; p++) {
    run(x);
    int a = 0;
    for (; a < axes; a++) {
      x[1 + a] += t.element_stride[1 + a];
      if (x[1 + a] <= high[a]) break;
      x[1 + a] = low[a];
    }
    if (a == axes) x[1 + axes]++;
  }
}

Coordinates coordinates(int rank, const int* at, const uint16_t* offsets) {
  Coordinates c;
  for (int i = 0; i < rank; i++) c.at[i] = at[i];
  if (offsets)
    for (int i = 0; i < rank - 2; i++) c.offset[i] = offsets[i];
  return c;
}

void check_barrier_fence(const uint64_t* barrier) {
  const Block& b = *current.owner;
  const Record& r = b.records[shared_address(barrier) / 2];
  if (r.generic_writer && b.fibers[r.generic_writer - 1].proxy_fences == r.writer_fences)
    fail("TMA signals an mbarrier that was initialised without an mbarrier_init_fence after it");
}

}  // namespace

void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int rank, const int* at,
              const uint16_t* offsets) {
  const Inside inside;
  Fiber& f = *current.fiber;
  const Place place = f.place = __builtin_return_address(0);
  const TensorMap t = decode(map, rank, offsets != nullptr);
  const uint32_t shared = box_address(t, to);
  check_mbarrier(barrier, "TMA load");
  Block& b = *current.owner;
  Clock clock;
  int engine = 0;
  if (checking) {
    check_barrier_fence(barrier);
    clock = f.clock;
    f.clock[f.id]++;
    engine = b.mbarrier_clocks[barrier].engine;
  }
  defer([=, &b, from = coordinates(rank, at, offsets)]() mutable {
    if (checking) clock[engine] = ++b.engine_clock;
    each_chunk(t, shared, from, [&](uint32_t address, const char* global, int bytes) {
      char* target = b.shared + address;
      if (profiling && bytes) profile_access(global, static_cast<size_t>(bytes), false, nullptr);
      if (checking) {
        if (bytes)
          check_access(global, static_cast<size_t>(bytes),
                       {.who = engine, .clock = clock, .place = place});
        check_access(target, 16, {.who = engine, .clock = clock, .write = true, .place = place});
      }
      std::memcpy(target, global, static_cast<size_t>(bytes));
      std::memset(target + bytes, 0, static_cast<size_t>(16 - bytes));
    });
    mbarrier_complete(barrier, static_cast<uint32_t>(t.box_bytes()), clock);
  });
}

void tma_store(const CUtensorMap* map, const void* from, int rank, const int* at, bool add) {
  const Inside inside;
  Fiber& f = *current.fiber;
  const Place place = f.place = __builtin_return_address(0);
  const TensorMap t = decode(map, rank, false);
  const uint32_t shared = box_address(t, from);
  if (add && t.element_bytes != 4) fail("TMA: only float32 sums are emulated");
  Block& b = *current.owner;
  const auto work = [=, &b, clock = f.clock, to = coordinates(rank, at, nullptr)]() mutable {
    const int engine = b.store_engine();
    Fiber& issuer = b.fibers[f.id];
    if (checking) clock[engine] = ++b.engine_clock;
    each_chunk(t, shared, to, [&](uint32_t address, const char* global, int bytes) {
      if (!bytes) return;
      const char* source = b.shared + address;
      char* target = const_cast<char*>(global);
      if (profiling) profile_access(target, static_cast<size_t>(bytes), true, nullptr);
      if (checking) {
        check_access(source, static_cast<size_t>(bytes),
                     {.who = engine, .clock = clock, .place = place});
        check_access(target, static_cast<size_t>(bytes),
                     {.who = engine, .clock = clock, .write = true, .atomic = add, .place = place});
      }
      if (!add) {
        std::memcpy(target, source, static_cast<size_t>(bytes));
        return;
      }
      for (int i = 0; i < bytes; i += 4)
        std::atomic_ref(*reinterpret_cast<float*>(target + i))
            .fetch_add(*reinterpret_cast<const float*>(source + i), std::memory_order_relaxed);
    });
    // The issuer will have seen it once it has waited.
    if (checking) issuer.store_done = clock[engine];
  };
  f.stores.push_back(work);
  if (settings().async == Async::eager) {
    f.stores.back()();
    f.stores.back() = nullptr;
  }
}

void bulk_commit() {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.store_groups.push_back(std::move(f.stores));
  f.stores.clear();
}

void bulk_wait(int pending, bool) {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.place = __builtin_return_address(0);
  if (static_cast<int>(f.store_groups.size()) <= pending) return;
  const auto end = f.store_groups.end() - pending;
  for (auto g = f.store_groups.begin(); g != end; ++g)
    for (auto& store : *g)
      if (store) store();
  f.store_groups.erase(f.store_groups.begin(), end);
  if (checking) f.clock[current.owner->store_engine()] = f.store_done;
}

void finish_stores(Fiber& fiber) {
  // What it reads would be gone with the block.
  if (checking && !(fiber.stores.empty() && fiber.store_groups.empty()))
    fail_at(fiber.place, "the thread ends with a TMA store that was not committed and waited for");
  bulk_commit();
  for (auto& group : fiber.store_groups)
    for (auto& store : group)
      if (store) store();
  fiber.store_groups.clear();
}

void set_registers(int registers) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  if (settings().capability < 90) fail("setmaxnreg needs compute capability 9.0");
  if (registers % 8 || registers < 24 || registers > 256)
    fail("setmaxnreg: %d is not a multiple of 8 from 24 to 256", registers);
}

}  // namespace emulator
