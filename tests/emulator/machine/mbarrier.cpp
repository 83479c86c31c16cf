// mbarriers: arrivals and bytes that a phase waits for, in the 64-bit word of shared memory, so
// that a barrier which is overwritten, or never initialised, is seen.
#include <bit>
#include <cstring>

#include "block.h"
#include "emulator/asynchronous.h"

namespace emulator {
namespace {

struct Word {
  uint64_t tag : 2;  // kTag in an initialised barrier; neither poison nor zero
  uint64_t phase : 1;
  uint64_t pending : 20;
  uint64_t count : 20;
  int64_t bytes : 21;  // that copies still have to bring
};
static_assert(sizeof(Word) == 8);
constexpr unsigned kTag = 1;

Word read(const uint64_t* barrier) { return std::bit_cast<Word>(*barrier); }

long offset_of(const uint64_t* barrier) {
  return reinterpret_cast<const char*>(barrier) - current.owner->shared;
}

void write(uint64_t* barrier, Word word) {
  Block& b = *current.owner;
  if (word.pending == 0 && word.bytes == 0) {
    const unsigned over = word.phase;
    word.phase ^= 1;
    word.pending = word.count;
    if (checking) b.mbarrier_clocks[barrier].phase[word.phase].clear();
    auto& waiting = b.mbarrier_waiting;
    for (size_t i = 0; i < waiting.size();) {
      Fiber& f = b.fibers[waiting[i].first];
      if (waiting[i].second == barrier && f.parity == over) {
        b.make_ready(f.id);
        waiting[i] = waiting.back();
        waiting.pop_back();
      } else {
        i++;
      }
    }
  }
  *barrier = std::bit_cast<uint64_t>(word);
}

void arrive(uint64_t* barrier, uint32_t count, uint32_t bytes) {
  Word word = read(barrier);
  if (word.pending < count)
    fail("mbarrier at shared address %ld: more arrivals in a phase than its count of %u",
         offset_of(barrier), static_cast<unsigned>(word.count));
  word.bytes += bytes;
  word.pending -= count;
  write(barrier, word);
}

}  // namespace

void check_mbarrier(uint64_t* barrier, const char* operation) {
  shared_address(barrier);
  if (settings().capability < 90 && std::strncmp(operation, "cp.async", 8) != 0)
    fail("mbarrier %s needs compute capability 9.0", operation);
  if (reinterpret_cast<uintptr_t>(barrier) % 8)
    fail("mbarrier %s: the barrier is not aligned to 8 bytes", operation);
  if (checking) {
    const Fiber& f = *current.fiber;
    check_access(barrier, 8, {.who = f.id, .clock = f.clock, .atomic = true, .place = f.place});
  }
  if (read(barrier).tag != kTag)
    fail("mbarrier %s: the barrier at shared address %ld is not initialised", operation,
         offset_of(barrier));
}

void mbarrier_init(uint64_t* barrier, uint32_t count) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  shared_address(barrier);
  if (count == 0 || count >= 1u << 20) fail("mbarrier init: a count of %u", count);
  if (checking) {
    check_write(barrier, 8);
    Block& b = *current.owner;
    const int engine = static_cast<int>(b.mbarrier_clocks.size()) % Block::kLoadEngines;
    auto& clocks = b.mbarrier_clocks[barrier];
    clocks.phase[0].clear();
    clocks.phase[1].clear();
    clocks.engine = b.load_engine(engine);
  }
  Word word{};
  word.tag = kTag;
  word.pending = word.count = count;
  *barrier = std::bit_cast<uint64_t>(word);
}

void mbarrier_expect(uint64_t* barrier, uint32_t bytes) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  check_mbarrier(barrier, "expect_tx");
  Word word = read(barrier);
  word.bytes += bytes;
  *barrier = std::bit_cast<uint64_t>(word);
}

void mbarrier_arrive(uint64_t* barrier, uint32_t count, uint32_t bytes) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  check_mbarrier(barrier, "arrive");
  if (checking) release(current.owner->mbarrier_clocks[barrier].phase[read(barrier).phase]);
  arrive(barrier, count, bytes);
}

void mbarrier_arrive_for(uint64_t* barrier, const Clock& clock) {
  if (checking) join(current.owner->mbarrier_clocks[barrier].phase[read(barrier).phase], clock);
  arrive(barrier, 1, 0);
}

void mbarrier_complete(uint64_t* barrier, uint32_t bytes, const Clock& clock) {
  Word word = read(barrier);
  if (word.tag != kTag)
    fail("a TMA load completes on shared address %ld, which is no barrier any more",
         offset_of(barrier));
  if (checking) join(current.owner->mbarrier_clocks[barrier].phase[word.phase], clock);
  word.bytes -= bytes;
  write(barrier, word);
}

void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.place = __builtin_return_address(0);
  check_mbarrier(barrier, "wait");
  if (read(barrier).phase == parity) {
    current.owner->mbarrier_waiting.push_back({f.id, barrier});
    f.parity = parity;
    block_on(parity ? "mbarrier of parity 1" : "mbarrier of parity 0", barrier);
  }
  if (checking) acquire(current.owner->mbarrier_clocks[barrier].phase[parity]);
}

void fence_proxy_async() { current.fiber->proxy_fences++; }
// Weaker on the device: it covers the barriers' own words only.
void mbarrier_init_fence() { current.fiber->proxy_fences++; }

}  // namespace emulator
