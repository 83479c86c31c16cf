// What kernel code needs while it runs: who am I, barriers, warp collectives, shared memory.
// Everything here is called on a fiber of a running block.
#pragma once
#include <cstddef>
#include <cstdint>

#include "emulator/vector_types.h"

// Always inlined, so that the return address of what it calls lies in the kernel: reports name that
// line.
#define EMULATOR_INLINE inline __attribute__((always_inline))

namespace emulator {

struct Fiber;
struct Block;

struct Current {
  uint3 thread{}, block{};
  dim3 block_size, grid_size;
  Fiber* fiber = nullptr;
  Block* owner = nullptr;
  bool inside = false;  // the emulator itself is at work: accesses are not the kernel's
};
// A block stays on one OS thread, so this is as cheap as a global variable.
extern constinit thread_local Current current __attribute__((tls_model("initial-exec")));

// Stops the launch: it returns an error whose text is this message with the place in the kernel.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// The calling thread's lane of its warp, 0-31.
unsigned lane();

// Dynamic shared memory of the block, aligned to 1024 bytes.
void* dynamic_shared();
// Static shared memory of one declaration (key: an address unique to it).
void* static_shared(const void* key, size_t bytes, size_t alignment);
// Shared addresses as the hardware has them: 32 bits, here offsets in the block's arena.
uint32_t shared_address(const void* pointer);
void* shared_pointer(uint32_t address);

// Barriers 0-15; threads 0: the whole block.
void barrier_sync(int id, int threads);
void barrier_arrive(int id, int threads);
// __syncthreads_count.
int barrier_count(int predicate);

// Waits for all lanes of the mask; the last to come carries out `execute` on all operands.
// orders_memory: as __syncwarp does.
using WarpFunction = void (*)(void** operands, uint32_t mask);
void warp_collective(uint32_t mask, WarpFunction execute, void* operand,
                     bool orders_memory = false);

// Waits for one thread of every block of a cooperative launch.
void grid_barrier();

// A relaxed atomic access is about to be made.
void note_atomic(const void* address, size_t bytes);

}  // namespace emulator
