// See memory.h.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

namespace cpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// CAPTIONEER_GUARD=1, for tests: whatever reads or writes beyond a block ends the process there and
// then, instead of another block's owner some time later. Nothing is given back.
bool guarded() {
  static const bool guarded = std::getenv("CAPTIONEER_GUARD") != nullptr;
  return guarded;
}

// A block that ends where memory begins that nobody may touch.
void* take_guarded(size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t whole = (bytes + page - 1) / page * page;
  void* base =
      mmap(nullptr, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  mprotect(static_cast<char*>(base) + whole, page, PROT_NONE);
  return static_cast<char*>(base) + (whole - bytes) / kMemoryAlignment * kMemoryAlignment;
}

}  // namespace

void* take_memory(size_t bytes) {
  if (guarded()) return take_guarded(bytes);
  if (bytes < kHugePage) return std::aligned_alloc(kMemoryAlignment, bytes);
  void* data = std::aligned_alloc(kHugePage, bytes);
#ifdef MADV_HUGEPAGE
  if (data) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

void give_back_memory(void* data) {
  if (!guarded()) std::free(data);
}

}  // namespace cpu
