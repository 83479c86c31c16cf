// Order between blocks of one grid: acquire and release, and the barrier of a cooperative grid.
#include "block.h"
#include "emulator/asynchronous.h"

namespace emulator {
namespace {

void publish() {
  Clock clock;
  release(clock);
  Grid& grid = *current.owner->grid;
  grid.releases_of[current.owner->number].push_back(static_cast<uint32_t>(grid.releases.size()));
  grid.releases.push_back({current.owner->number, std::move(clock)});
}

// Everything published so far: more than one atomic variable promises, so that a kernel with
// several of them is not accused wrongly.
void learn() {
  const Grid& grid = *current.owner->grid;
  current.fiber->clock[current.owner->foreign_slot()] = static_cast<uint32_t>(grid.releases.size());
}

}  // namespace

unsigned atomic_add_acq_rel(unsigned* address, unsigned value) {
  const Inside inside;
  current.fiber->place = __builtin_return_address(0);
  if (checking) {
    const Fiber& f = *current.fiber;
    check_access(address, sizeof *address,
                 {.who = f.id, .clock = f.clock, .write = true, .atomic = true, .place = f.place});
    publish();
    learn();
  }
  return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}

void grid_barrier() {
  const Inside inside;
  Fiber& own = *current.fiber;
  own.place = __builtin_return_address(0);
  Grid& grid = *current.owner->grid;
  if (!grid.cooperative) fail("grid_barrier needs a cooperative launch");
  for (const Fiber* f : grid.at_grid_barrier)
    if (f->block == own.block) fail("two threads of one block are at the grid barrier");
  if (checking) publish();
  grid.at_grid_barrier.push_back(&own);
  if (grid.at_grid_barrier.size() < grid.blocks.size()) {
    block_on("grid barrier");
  } else {
    for (Fiber* f : grid.at_grid_barrier)
      if (f != &own) f->block->make_ready(f->id);
    grid.at_grid_barrier.clear();
  }
  if (checking) learn();
}

}  // namespace emulator
