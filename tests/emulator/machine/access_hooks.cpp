// What -fsanitize=thread makes the compiler call at each memory access of a kernel. The sanitizer's
// own library is not linked; these take its place.
#include <cstdint>

#include "block.h"
#include "device_memory.h"
#include "profile.h"

namespace emulator {

// A launcher (host code in a kernel's file) that reads device memory would crash on a real machine.
void refuse_host_access(size_t bytes, bool write, Place place);

namespace {

void on_access(const void* address, size_t bytes, bool write, bool aligned, Place place) {
  if (current.inside) return;
  const Inside inside;
  if (!current.fiber) {
    if (checking && is_device_address(address)) refuse_host_access(bytes, write, place);
    return;
  }
  // The compiler may move a struct of two pointers as one; that parameters and local variables lie
  // at multiples of 8 only is the host's doing.
  if (aligned && (reinterpret_cast<uintptr_t>(address) & (bytes - 1)) &&
      (current.owner->in_shared(static_cast<const char*>(address)) || find_allocation(address)))
    fail_at(place, "misaligned %s of %zu bytes at %p", write ? "write" : "read", bytes, address);
  if (profiling) profile_access(address, bytes, write, place);
  if (checking) {
    const Fiber& f = *current.fiber;
    check_access(address, bytes, {.who = f.id, .clock = f.clock, .write = write, .place = place});
  }
}

}  // namespace

void note_atomic(const void* address, size_t bytes) {
  const Inside inside;
  if (!watching || !current.fiber) return;
  const Place place = __builtin_return_address(0);
  if (reinterpret_cast<uintptr_t>(address) & (bytes - 1))
    fail_at(place, "misaligned atomic of %zu bytes at %p", bytes, address);
  if (profiling) profile_access(address, bytes, true, place);
  const Fiber& f = *current.fiber;
  if (checking)
    check_access(address, bytes,
                 {.who = f.id, .clock = f.clock, .write = true, .atomic = true, .place = place});
}

}  // namespace emulator

#define HOOK(name, bytes, write, aligned)                                               \
  extern "C" void __tsan_##name(void* address) {                                        \
    if (emulator::watching) [[unlikely]]                                                \
      emulator::on_access(address, bytes, write, aligned, __builtin_return_address(0)); \
  }
#define HOOKS(bytes)                               \
  HOOK(read##bytes, bytes, false, true)            \
  HOOK(write##bytes, bytes, true, true)            \
  HOOK(unaligned_read##bytes, bytes, false, false) \
  HOOK(unaligned_write##bytes, bytes, true, false) \
  HOOK(volatile_read##bytes, bytes, false, true)   \
  HOOK(volatile_write##bytes, bytes, true, true)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

extern "C" {
void __tsan_read_range(void* address, unsigned long bytes) {
  if (emulator::watching && bytes)
    emulator::on_access(address, bytes, false, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, unsigned long bytes) {
  if (emulator::watching && bytes)
    emulator::on_access(address, bytes, true, false, __builtin_return_address(0));
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
}

// Atomics of host code in kernel files (reference counts, guards of static variables).
#define ATOMICS(bits)                                                                              \
  extern "C" uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* p, int) {    \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                \
  extern "C" void __tsan_atomic##bits##_store(volatile uint##bits##_t* p, uint##bits##_t v, int) { \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                      \
  }                                                                                                \
  extern "C" uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t* p,             \
                                                           uint##bits##_t v, int) {                \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                            \
  }                                                                                                \
  extern "C" uint##bits##_t __tsan_atomic##bits##_fetch_add(volatile uint##bits##_t* p,            \
                                                            uint##bits##_t v, int) {               \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  extern "C" uint##bits##_t __tsan_atomic##bits##_fetch_sub(volatile uint##bits##_t* p,            \
                                                            uint##bits##_t v, int) {               \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  extern "C" int __tsan_atomic##bits##_compare_exchange_strong(                                    \
      volatile uint##bits##_t* p, uint##bits##_t* expected, uint##bits##_t v, int, int) {          \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                                \
  extern "C" int __tsan_atomic##bits##_compare_exchange_weak(                                      \
      volatile uint##bits##_t* p, uint##bits##_t* expected, uint##bits##_t v, int, int) {          \
    return __atomic_compare_exchange_n(p, expected, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
