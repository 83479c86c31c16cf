// Device memory: allocations between guard zones, with records for the checks.
#pragma once
#include <cstddef>
#include <string>

#include "shadow.h"

namespace emulator {

struct Allocation {
  char* begin;   // what cudaMalloc returned
  size_t bytes;  // what was asked for
  char* raw;     // with the guard zones, whole pages
  size_t raw_bytes;
  size_t capacity;    // `bytes` at allocation; reuse() may lower `bytes`
  Record* records;    // one for two bytes, or null before the first checked access
  bool known_before;  // written before the checks were on
};

// Null when the emulated device's memory is exhausted.
void* allocate(size_t bytes);
// False for a pointer that allocate did not return.
bool release_memory(void* pointer);
// Whether the address lies where only device memory is. Cheap.
bool is_device_address(const void* address);
// The allocation whose memory or guard zones contain the address, or null.
Allocation* find_allocation(const void* address);
// Records of the allocation, made when first needed.
Record* records_of(Allocation& allocation);
// Whether [p, p + bytes) lies in one allocation.
bool is_device_range(const void* p, size_t bytes);
// The host has written these bytes, or copied them from `from` (device memory, or null).
void mark_written(void* to, const void* from, size_t bytes);

size_t memory_in_use();

}  // namespace emulator
