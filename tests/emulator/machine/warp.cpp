// Collectives of a warp: every lane leaves its operands, the last to come acts for all.
#include <algorithm>

#include "block.h"
#include "emulator/warp_functions.h"

namespace emulator {
namespace {

struct Vote {
  bool predicate;
  uint32_t result;
};

void execute_ballot(void** operands, uint32_t mask) {
  uint32_t result = 0;
  for (int i = 0; i < kLanes; i++)
    if (mask >> i & 1) result |= uint32_t{static_cast<Vote*>(operands[i])->predicate} << i;
  for (int i = 0; i < kLanes; i++)
    if (mask >> i & 1) static_cast<Vote*>(operands[i])->result = result;
}

template <class T>
struct Reduction {
  T value;
  char operation;
};

template <class T>
T combine(T a, T b, char operation) {
  switch (operation) {
    case '+':
      return a + b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<':
      return std::min(a, b);
    default:
      return std::max(a, b);
  }
}

template <class T>
void execute_reduce(void** operands, uint32_t mask) {
  Reduction<T>* first = nullptr;
  for (int i = 0; i < kLanes; i++) {
    if (!(mask >> i & 1)) continue;
    auto* own = static_cast<Reduction<T>*>(operands[i]);
    if (!first)
      first = own;
    else
      first->value = combine(first->value, own->value, own->operation);
  }
  for (int i = 0; i < kLanes; i++)
    if (mask >> i & 1) static_cast<Reduction<T>*>(operands[i])->value = first->value;
}

void execute_nothing(void**, uint32_t) {}

// All lanes learn what each has seen, as __syncwarp promises.
void order_memory(Block& b, int first, uint32_t mask) {
  Clock all = current.fiber->clock;
  for (int i = 0; i < kLanes; i++)
    if (mask >> i & 1) join(all, b.fibers[first + i].clock);
  for (int i = 0; i < kLanes; i++) {
    if (!(mask >> i & 1)) continue;
    b.fibers[first + i].clock = all;
    b.fibers[first + i].clock[first + i]++;
  }
}

}  // namespace

void collective(uint32_t mask, WarpFunction execute, void* operand, bool orders_memory,
                Place place) {
  const Inside inside;
  Block& b = *current.owner;
  Fiber& own = *current.fiber;
  own.place = place;
  const int first = own.id & ~(kLanes - 1);
  const int lanes = std::min(kLanes, b.threads - first);
  const uint32_t bit = 1u << (own.id - first);
  if (lanes < kLanes) mask &= (1u << lanes) - 1;
  if (!(mask & bit)) fail("the calling lane is not in its own mask %08x", mask);

  auto& pending = b.warps[own.id / kLanes];
  Collective* c = nullptr;
  for (auto& other : pending) {
    if (other.mask == mask)
      c = &other;
    else if (other.mask & mask)
      fail("lanes of one warp wait with overlapping masks %08x and %08x: divergent code?",
           other.mask, mask);
  }
  if (!c) {
    for (int i = 0; i < lanes; i++)
      if ((mask >> i & 1) && b.fibers[first + i].state == State::done)
        fail("lane %d of mask %08x has ended", i, mask);
    pending.push_back({mask, 0, execute, orders_memory, {}});
    c = &pending.back();
  }
  if (c->execute != execute)
    fail("lanes of one warp are in different collectives: divergent code?");
  c->operands[own.id - first] = operand;
  c->arrived |= bit;
  if (c->arrived != mask) {
    block_on(orders_memory ? "__syncwarp" : "warp collective");
    return;
  }
  execute(c->operands, mask);
  if (checking && orders_memory) order_memory(b, first, mask);
  *c = pending.back();
  pending.pop_back();
  for (int i = 0; i < lanes; i++)
    if ((mask & ~bit) >> i & 1) b.make_ready(static_cast<uint16_t>(first + i));
}

void warp_collective(uint32_t mask, WarpFunction execute, void* operand, bool orders_memory) {
  collective(mask, execute, operand, orders_memory, __builtin_return_address(0));
}

uint32_t ballot(uint32_t mask, bool predicate) {
  Vote vote{predicate, 0};
  collective(mask, &execute_ballot, &vote, false, __builtin_return_address(0));
  return vote.result;
}

template <class T>
T reduce(uint32_t mask, T value, char operation) {
  Reduction<T> operand{value, operation};
  collective(mask, &execute_reduce<T>, &operand, false, __builtin_return_address(0));
  return operand.value;
}
template int reduce(uint32_t, int, char);
template unsigned reduce(uint32_t, unsigned, char);

void warp_barrier(uint32_t mask) {
  char nothing;
  collective(mask, &execute_nothing, &nothing, true, __builtin_return_address(0));
}

}  // namespace emulator
