#include "block.h"

namespace emulator {

void release(Clock& into) {
  Fiber& f = *current.fiber;
  join(into, f.clock);
  f.clock[f.id]++;
}

void acquire(const Clock& from) { join(current.fiber->clock, from); }

}  // namespace emulator
