#include "context.h"

#include <cstdint>

#if defined(__x86_64__)
// Saves what a function must preserve, changes stacks, restores. The kernels change no rounding
// mode, so the control words stay.
extern "C" void emulator_switch_stack(void** save, void* load);
asm(R"(
.text
.globl emulator_switch_stack
.hidden emulator_switch_stack
.type emulator_switch_stack,@function
emulator_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch_stack,.-emulator_switch_stack
)");

namespace emulator {

void prepare(Context& context, char* stack, size_t bytes, size_t offset, void (*entry)()) {
  auto top = (reinterpret_cast<uintptr_t>(stack) + bytes - offset - 64) & ~uintptr_t{15};
  auto** words = reinterpret_cast<void**>(top);
  *--words = nullptr;  // where `entry` would return to; it also keeps the stack's alignment
  *--words = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--words = nullptr;
  context.stack_pointer = words;
}

void switch_context(Context& from, Context& to) {
  emulator_switch_stack(&from.stack_pointer, to.stack_pointer);
}

}  // namespace emulator
#else
namespace emulator {

void prepare(Context& context, char* stack, size_t bytes, size_t offset, void (*entry)()) {
  getcontext(&context.state);
  context.state.uc_stack.ss_sp = stack;
  context.state.uc_stack.ss_size = bytes - offset;
  context.state.uc_link = nullptr;
  makecontext(&context.state, entry, 0);
}

void switch_context(Context& from, Context& to) { swapcontext(&from.state, &to.state); }

}  // namespace emulator
#endif
