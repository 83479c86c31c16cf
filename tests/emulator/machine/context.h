// Switching between stacks: the little that fibers need from the processor.
#pragma once
#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

#if defined(__x86_64__)
struct Context {
  void* stack_pointer = nullptr;
};
#else
struct Context {
  ucontext_t state;
};
#endif

// Makes `context` begin in `entry`, which never returns, on the stack's upper end less `offset`.
void prepare(Context& context, char* stack, size_t bytes, size_t offset, void (*entry)());
void switch_context(Context& from, Context& to);

}  // namespace emulator
