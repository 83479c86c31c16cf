// Barriers of the block (0) and named barriers (1-15).
#include <algorithm>

#include "block.h"

namespace emulator {
namespace {

Barrier& arrive(int id, int& threads) {
  Block& b = *current.owner;
  if (id < 0 || id > 15) fail("barrier %d: the numbers are 0 to 15", id);
  if (threads <= 0)
    threads = b.threads;
  else if (threads % kLanes || threads > b.threads)
    fail("barrier %d: %d threads is not a multiple of 32 within the block's %d", id, threads,
         b.threads);
  Barrier& barrier = b.barriers[id];
  if (barrier.arrived == 0)
    barrier.expected = threads;
  else if (barrier.expected != threads)
    fail("barrier %d: some threads expect %d, others %d", id, barrier.expected, threads);
  if (id == 0 && b.alive < b.threads)
    fail("barrier of the whole block, but %d of its %d threads have ended", b.threads - b.alive,
         b.threads);
  if (checking) release(barrier.clock);
  barrier.arrived++;
  return barrier;
}

// Whether all have arrived; then lets them go.
bool complete(Barrier& barrier) {
  Block& b = *current.owner;
  if (barrier.arrived < barrier.expected) return false;
  for (const uint16_t id : barrier.waiting) {
    if (checking) join(b.fibers[id].clock, barrier.clock);
    b.fibers[id].barrier_votes = barrier.votes;
    b.make_ready(id);
  }
  current.fiber->barrier_votes = barrier.votes;
  barrier.waiting.clear();
  barrier.arrived = barrier.votes = 0;
  if (checking) {
    acquire(barrier.clock);
    barrier.clock.clear();
    // Whatever threads did before can conflict with nothing after: their records are void.
    if (barrier.expected == b.threads) {
      b.epoch++;
      b.reader_sets.clear();
    }
  }
  return true;
}

void wait(Barrier& barrier) {
  if (complete(barrier)) return;
  barrier.waiting.push_back(current.fiber->id);
  block_on("barrier");
}

}  // namespace

void barrier_sync(int id, int threads) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  wait(arrive(id, threads));
}

void barrier_arrive(int id, int threads) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  complete(arrive(id, threads));
}

int barrier_count(int predicate) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  int threads = 0;
  Barrier& barrier = arrive(0, threads);
  barrier.votes += predicate != 0;
  wait(barrier);
  return current.fiber->barrier_votes;
}

}  // namespace emulator
