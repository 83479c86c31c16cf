// cp.async: copies from global to shared memory by the issuing thread, done some time before it
// waits for them.
#include <cstring>

#include "block.h"
#include "emulator/asynchronous.h"
#include "profile.h"

namespace emulator {
namespace {

// By `fiber`, which may be another than the running one when an mbarrier waits for its copies.
void carry_out(const Copy& c, const Fiber& fiber, const Clock& clock) {
  if (checking) {
    if (c.source_bytes)
      check_access(c.from, static_cast<size_t>(c.source_bytes),
                   {.who = fiber.id, .clock = clock, .place = c.place});
    check_access(c.to, static_cast<size_t>(c.bytes),
                 {.who = fiber.id, .clock = clock, .write = true, .place = c.place});
  }
  std::memcpy(c.to, c.from, static_cast<size_t>(c.source_bytes));
  std::memset(c.to + c.source_bytes, 0, static_cast<size_t>(c.bytes - c.source_bytes));
}

void carry_out(CopyGroup& group, const Fiber& fiber, const Clock& clock) {
  if (group.done) return;
  group.done = true;
  for (const Copy& c : group.copies) carry_out(c, fiber, group.clock.empty() ? clock : group.clock);
}

}  // namespace

void cp_async(void* to, const void* from, int bytes, int source_bytes) {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.place = __builtin_return_address(0);
  const auto misaligned = [bytes](const void* p) {
    return reinterpret_cast<uintptr_t>(p) % static_cast<unsigned>(bytes) != 0;
  };
  if (misaligned(to) || (source_bytes && misaligned(from)))
    fail("cp.async: an address of a %d-byte copy is not aligned to %d", bytes, bytes);
  shared_address(to);
  const Copy c{static_cast<char*>(to), static_cast<const char*>(from), bytes, source_bytes,
               f.place};
  if (profiling) {
    if (source_bytes) profile_access(from, static_cast<size_t>(source_bytes), false, f.place);
    profile_access(to, static_cast<size_t>(bytes), true, f.place);
  }
  const Async when = settings().async;
  if (when == Async::eager || (when == Async::random && current.owner->random() % 2)) {
    carry_out(c, f, f.clock);
    return;
  }
  // The copy may happen at once, so nobody may still need what it overwrites.
  if (checking)
    check_access(to, static_cast<size_t>(bytes),
                 {.who = f.id, .clock = f.clock, .write = true, .place = f.place, .record = false});
  f.copies.copies.push_back(c);
}

void cp_async_commit() {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.copy_groups.push_back(std::make_shared<CopyGroup>(std::move(f.copies)));
  f.copies = CopyGroup();
}

void cp_async_wait(int pending) {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.place = __builtin_return_address(0);
  if (static_cast<int>(f.copy_groups.size()) <= pending) return;
  const auto end = f.copy_groups.end() - pending;
  for (auto g = f.copy_groups.begin(); g != end; ++g) carry_out(**g, f, f.clock);
  f.copy_groups.erase(f.copy_groups.begin(), end);
}

void cp_async_mbarrier_arrive(uint64_t* barrier, bool counted) {
  const Inside inside;
  Fiber& f = *current.fiber;
  f.place = __builtin_return_address(0);
  check_mbarrier(barrier, "cp.async.mbarrier.arrive");
  if (!counted) fail("cp.async.mbarrier.arrive without .noinc is not emulated");
  cp_async_commit();
  const auto groups = f.copy_groups;
  const Clock clock = f.clock;
  for (const auto& g : groups)
    if (g->clock.empty()) g->clock = clock;
  if (checking) f.clock[f.id]++;
  defer([&f, groups, clock, barrier] {
    for (const auto& g : groups) carry_out(*g, f, clock);
    mbarrier_arrive_for(barrier, clock);
  });
}

void finish_copies(Fiber& fiber) {
  cp_async_commit();
  for (const auto& g : fiber.copy_groups) carry_out(*g, fiber, fiber.clock);
  fiber.copy_groups.clear();
}

}  // namespace emulator
