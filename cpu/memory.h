// Blocks of memory for tensors, scratch and weights, from the heap.
#pragma once
#include <cstddef>

namespace cpu {

constexpr size_t kMemoryAlignment = 64;

// A block of so many bytes, null when the heap is exhausted. Large ones lie on large pages where
// the system has them: a product that reads a weight once spends much of its time on finding small
// ones.
void* take_memory(size_t bytes);
void give_back_memory(void* data);

}  // namespace cpu
