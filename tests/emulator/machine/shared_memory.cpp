// The block's shared memory as kernels reach it.
#include <cstring>

#include "block.h"

namespace emulator {

void* dynamic_shared() { return current.owner->shared + kSharedBase; }

void* static_shared(const void* key, size_t bytes, size_t alignment) {
  const Inside inside;
  Block& b = *current.owner;
  for (const auto& s : b.statics)
    if (s.key == key) return b.shared + s.offset;
  const size_t offset = (b.shared_top + alignment - 1) / alignment * alignment;
  size_t total = bytes;
  for (const auto& s : b.statics) total += s.bytes;
  if (total > kStaticSharedMost)
    fail("%zu bytes of static shared memory; the most is %zu", total, kStaticSharedMost);
  if (offset + bytes > kArenaBytes) fail("shared memory is exhausted");
  b.statics.push_back({key, offset, bytes});
  b.shared_top = offset + bytes;
  std::memset(b.shared + offset, 0xff, bytes);
  return b.shared + offset;
}

uint32_t shared_address(const void* pointer) {
  const Inside inside;
  const Block& b = *current.owner;
  if (!b.in_shared(pointer)) fail("%p is not an address in shared memory", pointer);
  return static_cast<uint32_t>(static_cast<const char*>(pointer) - b.shared);
}

void* shared_pointer(uint32_t address) { return current.owner->shared + address; }

}  // namespace emulator
