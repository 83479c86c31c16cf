// wgmma: a warpgroup's product, carried out some time between issue and wait. Layouts: PTX ISA,
// "Asynchronous warpgroup level matrix shared memory layout" and "wgmma.mma_async".
#include <algorithm>
#include <cstring>

#include "bfloat.h"
#include "block.h"
#include "emulator/asynchronous.h"
#include "swizzle.h"

namespace emulator {
namespace {

struct Descriptor {
  uint32_t start, leading, stride;
  int swizzle;

  explicit Descriptor(uint64_t bits)
      : start((bits & 0x3fff) << 4),
        leading((bits >> 16 & 0x3fff) << 4),
        stride((bits >> 32 & 0x3fff) << 4) {
    if (bits >> 49 & 7) fail("wgmma: a descriptor with a base offset is not emulated");
    constexpr int modes[] = {0, 3, 2, 1};  // none, 128, 64, 32 bytes
    swizzle = modes[bits >> 62];
  }
};

// Where element (mn, k) of a 16-deep operand lies.
uint32_t element_address(const Descriptor& d, bool mn_major, int mn, int k) {
  const int span = 8 << d.swizzle;  // elements
  uint32_t a = d.start;
  if (!mn_major) {
    if (d.swizzle)
      a += mn % 8 * span * 2 + mn / 8 * d.stride + k * 2;
    else
      a += mn % 8 * 16 + mn / 8 * d.stride + k % 8 * 2 + k / 8 * d.leading;
  } else {
    if (d.swizzle)
      a += mn % span * 2 + mn / span * d.leading + k % 8 * span * 2 + k / 8 * d.stride;
    else
      a += mn % 8 * 2 + mn / 8 * d.stride + k % 8 * 16 + k / 8 * d.leading;
  }
  return swizzle(a, d.swizzle);
}

// Calls put(mn, k, value) for rows [begin, end) of an operand, which the warps' tensor cores
// [first_warp, last_warp] read. Eight neighbours lie in one 16-byte chunk whatever the layout.
template <class F>
void read_operand(uint64_t bits, bool mn_major, int begin, int end, const Wgmma& op, int first_warp,
                  int last_warp, F put) {
  const Descriptor d(bits);
  Block& b = *current.owner;
  const int mn_step = mn_major ? 8 : 1, k_step = mn_major ? 1 : 8;
  for (int mn = begin; mn < end; mn += mn_step)
    for (int k = 0; k < 16; k += k_step) {
      const uint32_t address = element_address(d, mn_major, mn, k);
      if (address + 16 > kArenaBytes) fail_at(op.place, "wgmma: an operand beyond shared memory");
      const char* chunk = b.shared + address;
      if (checking)
        for (int warp = first_warp; warp <= last_warp; warp++)
          check_access(chunk, 16,
                       {.who = b.tensor_engine(warp), .clock = op.clock, .place = op.place});
      uint16_t values[8];
      std::memcpy(values, chunk, 16);
      for (int i = 0; i < 8; i++)
        put(mn + (mn_major ? i : 0), k + (mn_major ? 0 : i), bf16_value(values[i]));
    }
}

// Accumulators of a thread: row (of 64) and column of d[4j + r].
template <class F>
void each_accumulator(const Wgmma& op, F f) {
  for (int thread = 0; thread < kWarpgroup; thread++) {
    const int row = thread / 32 * 16 + thread % 32 / 4, column = thread % 4 * 2;
    float* d = op.d[thread];
    for (int j = 0; j < op.n / 8; j++)
      for (int r = 0; r < 4; r++) f(d[j * 4 + r], row + r / 2 * 8, j * 8 + column + r % 2);
  }
}

void load_a_registers(const Wgmma& op, float* a) {
  for (int thread = 0; thread < kWarpgroup; thread++) {
    const int row = thread / 32 * 16 + thread % 32 / 4, column = thread % 4 * 2;
    for (int r = 0; r < 4; r++) {
      const uint32_t pair = op.a[thread][r];
      if (pair != op.a_at_issue[thread * 4 + r])
        fail_at(op.place, "wgmma: registers of a changed before wgmma_wait (thread %d)", thread);
      float* to = a + (row + r % 2 * 8) * 16 + column + r / 2 * 8;
      to[0] = low_half(pair);
      to[1] = high_half(pair);
    }
  }
}

void execute(Block& b, int warpgroup) {
  Warpgroup& w = b.warpgroups[warpgroup];
  Wgmma& op = w.operations.front();
  const int n = op.n, first_warp = warpgroup * 4;
  thread_local std::vector<float> a, bt, d;
  a.resize(64 * 16);
  bt.resize(static_cast<size_t>(16 * n));
  d.resize(static_cast<size_t>(64 * n));
  if (checking) {
    for (int warp = first_warp; warp < first_warp + 4; warp++)
      op.clock[b.tensor_engine(warp)] = ++b.engine_clock;
  }
  if (op.a_in_registers) {
    load_a_registers(op, a.data());
  } else {
    for (int warp = 0; warp < 4; warp++)
      read_operand(op.a_descriptor, op.a_mn_major, warp * 16, warp * 16 + 16, op, first_warp + warp,
                   first_warp + warp, [&](int mn, int k, float v) { a[mn * 16 + k] = v; });
  }
  read_operand(op.b_descriptor, op.b_mn_major, 0, n, op, first_warp, first_warp + 3,
               [&](int mn, int k, float v) { bt[k * n + mn] = v; });
  if (op.accumulate)
    each_accumulator(op, [&](float& v, int row, int column) { d[row * n + column] = v; });
  else
    std::fill(d.begin(), d.end(), 0.0f);
  multiply_add(d.data(), a.data(), bt.data(), 64, n);
  each_accumulator(op, [&](float& v, int row, int column) { v = d[row * n + column]; });
  if (checking) {
    auto& clocks = w.done.emplace_back();
    for (int i = 0; i < 4; i++) clocks[i] = op.clock[b.tensor_engine(first_warp + i)];
  }
  w.operations.pop_front();
  w.executed++;
}

Warpgroup& own_warpgroup() {
  Block& b = *current.owner;
  if (settings().capability != 90) fail("wgmma needs compute capability 9.0");
  const int warpgroup = current.fiber->id / kWarpgroup;
  if ((warpgroup + 1) * kWarpgroup > b.threads)
    fail("wgmma: the warpgroup has fewer than 128 threads");
  return b.warpgroups[warpgroup];
}

bool all_issued(const Warpgroup& w) {
  return !w.operations.empty() && w.operations.front().issued == kWarpgroup;
}

void watch_registers(Fiber& f, const void* registers, size_t bytes) {
  const auto* begin = static_cast<const char*>(registers);
  for (auto& r : f.in_flight)
    if (r.begin == begin) {
      r.operation = f.wgmma_issued;
      return;
    }
  f.in_flight.push_back({begin, bytes, f.wgmma_issued});
}

}  // namespace

void wgmma_fence() {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  own_warpgroup();
  current.fiber->wgmma_fenced = true;
}

void wgmma(float* d, int n, const uint32_t* a, uint64_t a_descriptor, uint64_t b_descriptor,
           bool accumulate, bool a_mn_major, bool b_mn_major) {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.place = __builtin_return_address(0);
  Warpgroup& w = own_warpgroup();
  if (n % 8 || n < 8 || n > 256) fail("wgmma: n = %d is not a multiple of 8 from 8 to 256", n);
  if (!f.wgmma_fenced) fail("wgmma without a wgmma_fence since the last wgmma_wait");
  const uint64_t behind = f.wgmma_issued++ - w.executed;
  if (behind == w.operations.size()) {
    Wgmma op;
    op.n = n;
    op.accumulate = accumulate;
    op.a_mn_major = a_mn_major;
    op.b_mn_major = b_mn_major;
    op.a_in_registers = a != nullptr;
    op.a_descriptor = a_descriptor;
    op.b_descriptor = b_descriptor;
    op.place = f.place;
    if (a) op.a_at_issue.resize(kWarpgroup * 4);
    w.operations.push_back(std::move(op));
  }
  Wgmma& op = w.operations[behind];
  if (op.n != n || op.accumulate != accumulate || op.a_mn_major != a_mn_major ||
      op.b_mn_major != b_mn_major || op.a_in_registers != (a != nullptr) ||
      op.a_descriptor != a_descriptor || op.b_descriptor != b_descriptor)
    fail("wgmma: the threads of the warpgroup give different operands");
  const int thread = f.id % kWarpgroup;
  op.d[thread] = d;
  op.a[thread] = a;
  if (a) std::copy(a, a + 4, op.a_at_issue.begin() + thread * 4);
  if (checking) {
    join(op.clock, f.clock);
    f.clock[f.id]++;
    watch_registers(f, d, static_cast<size_t>(n) / 2 * sizeof(float));
  }
  if (++op.issued < kWarpgroup) return;
  const Async when = settings().async;
  const int number = f.id / kWarpgroup;
  if (when == Async::eager || (when == Async::random && current.owner->random() % 2))
    while (all_issued(w)) execute(*current.owner, number);
  // Warps that wait for it can go on.
  for (const uint16_t id : w.waiting) current.owner->make_ready(id);
  w.waiting.clear();
}

void wgmma_commit() {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  own_warpgroup();
  current.fiber->wgmma_groups.push_back(current.fiber->wgmma_issued);
}

void wgmma_wait(int pending) {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.place = __builtin_return_address(0);
  Warpgroup& w = own_warpgroup();
  f.wgmma_fenced = false;
  uint64_t target = 0;
  while (static_cast<int>(f.wgmma_groups.size()) > pending) {
    target = f.wgmma_groups.front();
    f.wgmma_groups.erase(f.wgmma_groups.begin());
  }
  while (w.executed < target) {
    if (all_issued(w)) {
      execute(*current.owner, f.id / kWarpgroup);
    } else {
      w.waiting.push_back(f.id);
      block_on("wgmma that not all 128 threads have issued");
    }
  }
  if (!checking) return;
  std::erase_if(f.in_flight, [&](const InFlight& r) { return r.operation <= target; });
  // The warp learns that its own part is done; that of the other three may not be.
  const int warp = f.id / kLanes;
  uint32_t& seen = f.clock[current.owner->tensor_engine(warp)];
  if (target) seen = std::max(seen, w.done[target - 1][warp % 4]);
}

void refuse_unfinished_wgmma(const Fiber& fiber) {
  if (fiber.wgmma_issued > current.owner->warpgroups[fiber.id / kWarpgroup].executed)
    fail_at(nullptr, "the thread ends with a wgmma that was not waited for");
}

}  // namespace emulator
