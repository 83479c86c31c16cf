// The state of a thread block in execution. Everything here belongs to one OS thread at a time.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "clock.h"
#include "context.h"
#include "emulator/execution.h"
#include "emulator/settings.h"
#include "inside.h"
#include "shadow.h"

namespace emulator {

constexpr size_t kStackBytes = 128 * 1024;
// Shared addresses begin here, so that 0 is never valid.
constexpr uint32_t kSharedBase = 1024;
constexpr size_t kArenaBytes = 512 * 1024;
constexpr size_t kStaticSharedMost = 48 * 1024;
constexpr int kLanes = 32;
constexpr int kWarpgroup = 128;

// A part of the kernel's code that issued an instruction, for reports.
using Place = const void*;

struct Copy {
  char* to;
  const char* from;
  int bytes, source_bytes;
  Place place;
};
// Copies that complete together; shared with an mbarrier that waits for them.
struct CopyGroup {
  std::vector<Copy> copies;
  bool done = false;
  Clock clock;  // of the issuer when it left the copies to an mbarrier; else empty
};
using CopyGroups = std::vector<std::shared_ptr<CopyGroup>>;

// TMA stores that complete together.
using BulkGroup = std::vector<std::function<void()>>;

// Registers that an unfinished wgmma uses.
struct InFlight {
  const char* begin;
  size_t bytes;
  uint64_t operation;
};

enum class State : uint8_t { ready, blocked, done };

struct Fiber {
  Context context;
  Block* block = nullptr;
  uint3 index{};
  uint16_t id = 0;  // linear thread number in the block
  State state = State::ready;
  const char* waits_for = "";
  const void* waits_at = nullptr;
  uint32_t parity = 0;  // of the mbarrier waited for
  int barrier_votes = 0;
  Place place = nullptr;
  Clock clock;
  uint32_t proxy_fences = 0;

  CopyGroup copies;
  CopyGroups copy_groups;
  BulkGroup stores;
  std::vector<BulkGroup> store_groups;
  uint32_t store_done = 0;  // clock of the TMA stores carried out

  uint64_t wgmma_issued = 0;
  std::vector<uint64_t> wgmma_groups;  // operations issued when each group was committed
  bool wgmma_fenced = false;
  std::vector<InFlight> in_flight;
};

// A collective that some lanes of a warp have reached.
struct Collective {
  uint32_t mask, arrived;
  WarpFunction execute;
  bool orders_memory;
  void* operands[kLanes];
};

struct Barrier {
  int expected = 0, arrived = 0, votes = 0;
  std::vector<uint16_t> waiting;
  Clock clock;
};

// One wgmma of a warpgroup; complete when all 128 threads have issued it.
struct Wgmma {
  int n = 0, issued = 0;
  bool accumulate = false, a_mn_major = false, b_mn_major = false, a_in_registers = false;
  uint64_t a_descriptor = 0, b_descriptor = 0;
  float* d[kWarpgroup] = {};
  const uint32_t* a[kWarpgroup] = {};
  std::vector<uint32_t> a_at_issue;
  Clock clock;  // all that its threads had seen when they issued it
  Place place = nullptr;
};
struct Warpgroup {
  std::deque<Wgmma> operations;
  uint64_t executed = 0;
  std::vector<uint16_t> waiting;
  std::vector<std::array<uint32_t, 4>>
      done;  // by operation: clocks of the four warps' tensor cores
};

// What has been released through an mbarrier, by the parity of its phase.
struct BarrierClocks {
  Clock phase[2];
  int engine = 0;
};

struct StaticShared {
  const void* key;
  size_t offset, bytes;
};

struct Grid;

struct Block {
  Block();
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Gets ready for block `number` of the grid.
  void begin(Grid& grid, uint32_t number);

  Grid* grid = nullptr;
  uint32_t number = 0;
  uint3 index{};
  int threads = 0, alive = 0;
  std::vector<Fiber> fibers;
  std::vector<std::vector<Collective>> warps;
  Barrier barriers[16];
  Warpgroup warpgroups[8];
  std::vector<std::pair<uint16_t, const uint64_t*>> mbarrier_waiting;
  std::vector<std::function<void()>> engine_queue;  // asynchronous work not carried out yet
  bool done() const { return alive == 0; }

  // Ready threads: a ring for fifo and reverse, a bag for random.
  std::vector<uint16_t> ring, bag;
  size_t ring_head = 0, ring_tail = 0;
  void make_ready(uint16_t id);
  Fiber* take_ready();
  uint64_t random();

  char* shared = nullptr;  // the arena; shared address 0
  bool in_shared(const void* p) const {
    return static_cast<size_t>(static_cast<const char*>(p) - shared) < kArenaBytes;
  }
  bool in_stacks(const void* p) const {
    return static_cast<size_t>(static_cast<const char*>(p) - stacks_) < stack_count_ * kStackBytes;
  }
  size_t dynamic_bytes = 0, shared_top = 0;
  std::vector<StaticShared> statics;

  // Checks. Clock slots: threads, TMA loads, TMA stores, tensor cores of each warp, other blocks.
  int clock_slots() const { return threads + kLoadEngines + 1 + (threads + 31) / 32 + 1; }
  int load_engine(int i) const { return threads + i; }
  int store_engine() const { return threads + kLoadEngines; }
  int tensor_engine(int warp) const { return threads + kLoadEngines + 1 + warp; }
  int foreign_slot() const { return clock_slots() - 1; }
  static constexpr int kLoadEngines = 16;
  uint32_t epoch = 1, engine_clock = 0;
  std::unordered_map<const uint64_t*, BarrierClocks> mbarrier_clocks;
  std::vector<Record> records;
  // Of records of shared memory, void after a barrier, and of global memory, valid to the end.
  std::vector<Clock> reader_sets, global_reader_sets;
  std::vector<Clock>& sets(bool of_shared) { return of_shared ? reader_sets : global_reader_sets; }

 private:
  char* mapping_ = nullptr;
  char* stacks_ = nullptr;
  size_t stack_count_ = 0;
  uint64_t random_state_ = 1;
};

// One launch.
struct Grid {
  dim3 size, block_size;
  size_t dynamic_bytes = 0;
  const std::function<void()>* body = nullptr;
  const void* kernel = nullptr;
  bool cooperative = false;

  // Knowledge between blocks: what was released, in order. A thread's foreign slot counts how many
  // entries it has acquired.
  struct Release {
    uint32_t block;
    Clock clock;
  };
  std::vector<Release> releases;
  std::unordered_map<uint32_t, std::vector<uint32_t>> releases_of;  // indices, by block
  std::vector<Block*> blocks;                                       // cooperative only
  std::vector<Fiber*> at_grid_barrier;
};

// --- scheduler.cpp
// Runs the given blocks together until all their threads are done. Returns the error, or nothing.
std::string run(const std::vector<Block*>& blocks);
// The calling fiber waits until it is made ready. `why` is for the report of a deadlock.
void block_on(const char* why, const void* at = nullptr);
// Ends the launch with this error.
[[noreturn]] void stop(std::string text);
// Where each fiber begins.
void fiber_main();
// Work that may be done later, by the block's asynchronous engines.
void defer(std::function<void()> work);

// --- warp.cpp: warp_collective for an instruction at `place`
void collective(uint32_t mask, WarpFunction execute, void* operand, bool orders_memory,
                Place place);

// --- clock.cpp
// The calling thread publishes all it has seen; another learns it.
void release(Clock& into);
void acquire(const Clock& from);

// --- report.cpp
// fail() with the place in the kernel.
[[noreturn]] void fail_at(Place place, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
// "attention.cu:120", with the lines it was inlined into; empty when unknown.
std::string source_line(Place place);
std::string function_name(const void* function);

// --- cp_async.cpp, tma.cpp, wgmma.cpp: what a thread has left undone when it ends
void finish_copies(Fiber& fiber);
void finish_stores(Fiber& fiber);
void refuse_unfinished_wgmma(const Fiber& fiber);

// --- mbarrier.cpp
// The bytes of a copy have arrived; `clock` is what the copying engine had seen.
void mbarrier_complete(uint64_t* barrier, uint32_t bytes, const Clock& clock);
// One arrival, by somebody who has seen `clock`.
void mbarrier_arrive_for(uint64_t* barrier, const Clock& clock);
// Refuses anything but an initialised barrier in shared memory.
void check_mbarrier(uint64_t* barrier, const char* operation);

}  // namespace emulator
