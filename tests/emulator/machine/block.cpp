#include "block.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace emulator {
namespace {

char* map(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(p);
}

constexpr size_t kArenaAlignment = 64 * 1024;

}  // namespace

Block::Block() {
  mapping_ = map(kArenaBytes + kArenaAlignment);
  const auto address = reinterpret_cast<uintptr_t>(mapping_);
  shared = mapping_ + ((kArenaAlignment - address % kArenaAlignment) % kArenaAlignment);
}

Block::~Block() {
  munmap(mapping_, kArenaBytes + kArenaAlignment);
  if (stacks_) munmap(stacks_, stack_count_ * kStackBytes);
}

void Block::begin(Grid& of, uint32_t which) {
  grid = &of;
  number = which;
  index = {which % of.size.x, which / of.size.x % of.size.y, which / of.size.x / of.size.y};
  threads = static_cast<int>(of.block_size.x * of.block_size.y * of.block_size.z);
  alive = threads;
  const size_t count = static_cast<size_t>(threads);
  if (stack_count_ < count) {
    if (stacks_) munmap(stacks_, stack_count_ * kStackBytes);
    stacks_ = map(count * kStackBytes);
    stack_count_ = count;
  }
  const uint64_t seed = settings().seed * 0x9E3779B97F4A7C15ull + which * 0xD1B54A32D192ED03ull;
  random_state_ = seed ? seed : 1;

  const size_t used = shared_top;
  dynamic_bytes = of.dynamic_bytes;
  shared_top = (kSharedBase + dynamic_bytes + 127) / 128 * 128;
  std::memset(shared + kSharedBase, 0xff, dynamic_bytes);
  statics.clear();
  mbarrier_waiting.clear();
  engine_queue.clear();
  for (auto& b : barriers) b = Barrier();
  for (auto& w : warpgroups) w = Warpgroup();
  warps.resize((count + kLanes - 1) / kLanes);
  for (auto& w : warps) w.clear();
  bag.clear();
  ring_head = ring_tail = 0;
  size_t ring_size = 1;
  while (ring_size <= count) ring_size *= 2;
  ring.resize(ring_size);
  if (checking) {
    records.resize(kArenaBytes / 2);
    std::memset(static_cast<void*>(records.data()), 0,
                std::max(used, shared_top) / 2 * sizeof(Record));
    epoch = 1;
    engine_clock = 0;
    mbarrier_clocks.clear();
    reader_sets.clear();
    global_reader_sets.clear();
  }

  fibers.resize(count);
  for (int i = 0; i < threads; i++) {
    Fiber& f = fibers[i];
    f = Fiber();
    f.block = this;
    f.id = static_cast<uint16_t>(i);
    const unsigned x = of.block_size.x, y = of.block_size.y, u = static_cast<unsigned>(i);
    f.index = {u % x, u / x % y, u / x / y};
    if (checking) {
      f.clock.assign(clock_slots(), 0);
      f.clock[i] = 1;
    }
    // Stacks that begin at different offsets do not compete for the same cache sets.
    prepare(f.context, stacks_ + i * kStackBytes, kStackBytes, (i % 61) * 448, fiber_main);
  }
  for (int i = 0; i < threads; i++)
    make_ready(settings().schedule == Schedule::reverse ? threads - 1 - i : i);
}

void Block::make_ready(uint16_t id) {
  fibers[id].state = State::ready;
  if (settings().schedule == Schedule::random) {
    bag.push_back(id);
  } else {
    ring[ring_tail] = id;
    ring_tail = (ring_tail + 1) & (ring.size() - 1);
  }
}

Fiber* Block::take_ready() {
  if (!bag.empty()) {
    const size_t i = random() % bag.size();
    const uint16_t id = bag[i];
    bag[i] = bag.back();
    bag.pop_back();
    return &fibers[id];
  }
  if (ring_head == ring_tail) return nullptr;
  const uint16_t id = ring[ring_head];
  ring_head = (ring_head + 1) & (ring.size() - 1);
  return &fibers[id];
}

// xorshift64* (Marsaglia 2003; Vigna 2016, arXiv:1402.6246).
uint64_t Block::random() {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_ * 0x2545F4914F6CDD1Dull >> 11;
}

}  // namespace emulator
