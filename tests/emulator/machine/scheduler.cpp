// Which fiber runs next, and what happens when none can.
#include <algorithm>
#include <map>

#include "block.h"

namespace emulator {

constinit thread_local Current current __attribute__((tls_model("initial-exec")));

namespace {

// The blocks in execution on this OS thread.
struct Running {
  Context main;
  const std::vector<Block*>* blocks = nullptr;
  std::string error;
};
thread_local Running running;

void enter(Block& block) {
  current.owner = &block;
  current.block = block.index;
  current.grid_size = block.grid->size;
  current.block_size = block.grid->block_size;
}

void resume(Fiber& next, Context& from) {
  if (next.block != current.owner) enter(*next.block);
  current.thread = next.index;
  current.fiber = &next;
  switch_context(from, next.context);
}

void leave() {
  Context abandoned;
  switch_context(abandoned, running.main);
  __builtin_unreachable();
}

std::string deadlock() {
  std::map<std::string, int> waiting;
  for (const Block* block : *running.blocks) {
    for (const Fiber& f : block->fibers) {
      if (f.state != State::blocked) continue;
      std::string what = "warp " + std::to_string(f.id / kLanes) + ": " + f.waits_for;
      if (running.blocks->size() > 1) what = "block " + std::to_string(block->number) + " " + what;
      if (f.waits_at) {
        const long offset = static_cast<const char*>(f.waits_at) - block->shared;
        what += " at shared address " + std::to_string(offset);
      }
      if (f.place) what += " (" + source_line(f.place) + ")";
      waiting[what]++;
    }
  }
  std::string text = "deadlock: nothing can run.";
  for (const auto& [what, count] : waiting)
    text += " [" + what + " x" + std::to_string(count) + "]";
  return text;
}

void run_engine(Block& block, size_t index) {
  const auto work = std::move(block.engine_queue[index]);
  block.engine_queue.erase(block.engine_queue.begin() + static_cast<std::ptrdiff_t>(index));
  work();
}

// The next block in turn that has something to do.
Block* other_block() {
  const auto& blocks = *running.blocks;
  const auto own = std::find(blocks.begin(), blocks.end(), current.owner) - blocks.begin();
  for (size_t i = 1; i < blocks.size(); i++) {
    Block* b = blocks[(static_cast<size_t>(own) + i) % blocks.size()];
    if (!b->bag.empty() || b->ring_head != b->ring_tail || !b->engine_queue.empty()) return b;
  }
  return nullptr;
}

Fiber& pick() {
  for (;;) {
    Block& b = *current.owner;
    if (!b.engine_queue.empty() && settings().async == Async::random && b.random() % 8 == 0) {
      run_engine(b, b.random() % b.engine_queue.size());
    }
    if (running.blocks->size() > 1 && settings().schedule == Schedule::random &&
        b.random() % 16 == 0) {
      if (Block* other = other_block()) {
        enter(*other);
        continue;
      }
    }
    if (Fiber* f = b.take_ready()) return *f;
    if (!b.engine_queue.empty()) {
      run_engine(b, 0);
      continue;
    }
    Block* other = other_block();
    if (!other) fail("%s", deadlock().c_str());
    enter(*other);
  }
}

void switch_away(Fiber& own) {
  Fiber& next = pick();
  if (&next == &own) {
    enter(*own.block);
    return;
  }
  resume(next, own.context);
}

void fiber_exit() {
  Fiber& own = *current.fiber;
  Block& b = *current.owner;
  refuse_unfinished_wgmma(own);
  for (const auto& c : b.warps[own.id / kLanes])
    if (c.mask >> (own.id % kLanes) & 1)
      fail_at(nullptr, "the thread ends while its warp waits for it in a collective, mask %08x",
              c.mask);
  if (!b.barriers[0].waiting.empty() && b.barriers[0].expected == b.threads)
    fail_at(nullptr, "the thread ends while others wait for it at a barrier of the whole block");
  finish_copies(own);
  finish_stores(own);
  own.state = State::done;
  b.alive--;
  const auto& blocks = *running.blocks;
  if (std::all_of(blocks.begin(), blocks.end(), [](const Block* x) { return x->done(); })) {
    for (Block* block : blocks) {
      enter(*block);
      while (!block->engine_queue.empty()) run_engine(*block, 0);
    }
    leave();
  }
  resume(pick(), own.context);
}

}  // namespace

void fiber_main() {
  current.inside = false;
  (*current.owner->grid->body)();
  current.inside = true;
  fiber_exit();
}

void block_on(const char* why, const void* at) {
  Fiber& own = *current.fiber;
  own.state = State::blocked;
  own.waits_for = why;
  own.waits_at = at;
  switch_away(own);
}

void defer(std::function<void()> work) {
  Block& b = *current.owner;
  if (settings().async == Async::eager)
    work();
  else
    b.engine_queue.push_back(std::move(work));
}

std::string run(const std::vector<Block*>& blocks) {
  running.blocks = &blocks;
  running.error.clear();
  const Inside inside;
  enter(*blocks[0]);
  current.fiber = nullptr;
  resume(pick(), running.main);
  current.fiber = nullptr;
  current.owner = nullptr;
  return std::move(running.error);
}

void stop(std::string text) {
  running.error = std::move(text);
  leave();
  __builtin_unreachable();
}

unsigned lane() { return current.fiber->id % kLanes; }

}  // namespace emulator
