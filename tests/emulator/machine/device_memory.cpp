// Addresses are given out in order from one large reserved range and never again, so that an
// address tells at once whether it is the device's, and the use of freed memory cannot go unseen.
#include "device_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>

#include "emulator/launch.h"
#include "emulator/settings.h"
#include "inside.h"

namespace emulator {
namespace {

constexpr size_t kRange = size_t{1} << 43;
constexpr size_t kPage = 4096;
constexpr size_t kGuard = 256;
// Larger blocks are left as the system gives them (zeros): touching them all costs real memory.
constexpr size_t kPoisonMost = size_t{64} << 20;

char* reserve() {
  void* p = mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(p);
}

char* const range = reserve();
std::mutex mutex;
std::map<const char*, std::unique_ptr<Allocation>> allocations;  // by raw address
std::atomic<uint64_t> version{1};                                // changes with the map
size_t next_offset = 0;
size_t in_use = 0;

void poison(char* p, size_t bytes) {
  if (bytes <= kPoisonMost) std::memset(p, 0xff, bytes);
}

void clear_records(Allocation& a) {
  std::free(a.records);
  a.records = nullptr;
}

Allocation* look_up(const char* p) {
  const std::lock_guard lock(mutex);
  auto after = allocations.upper_bound(p);
  if (after == allocations.begin()) return nullptr;
  Allocation* found = std::prev(after)->second.get();
  return p < found->raw + found->raw_bytes ? found : nullptr;
}

}  // namespace

bool is_device_address(const void* address) {
  return static_cast<size_t>(static_cast<const char*>(address) - range) < kRange;
}

void* allocate(size_t bytes) {
  const Inside inside;
  const std::lock_guard lock(mutex);
  if (bytes > settings().memory || in_use > settings().memory - bytes) return nullptr;
  const size_t raw_bytes = (bytes + 2 * kGuard + kPage - 1) / kPage * kPage;
  if (raw_bytes > kRange - next_offset) return nullptr;
  char* raw = range + next_offset;
  if (mprotect(raw, raw_bytes, PROT_READ | PROT_WRITE) != 0) return nullptr;
  next_offset += raw_bytes;
  // At the end of its pages, as near as the alignment allows: running far over the end faults even
  // without checks.
  char* begin = raw + (raw_bytes - kGuard - bytes) / 256 * 256;
  poison(begin, bytes);
  in_use += bytes;
  version++;
  allocations[raw] = std::make_unique<Allocation>(
      Allocation{begin, bytes, raw, raw_bytes, bytes, nullptr, !settings().check});
  return begin;
}

bool release_memory(void* pointer) {
  const Inside inside;
  Allocation* a = is_device_address(pointer) ? look_up(static_cast<char*>(pointer)) : nullptr;
  if (!a || a->begin != pointer) return false;
  const std::lock_guard lock(mutex);
  in_use -= a->capacity;
  version++;
  clear_records(*a);
  madvise(a->raw, a->raw_bytes, MADV_DONTNEED);
  mprotect(a->raw, a->raw_bytes, PROT_NONE);
  allocations.erase(a->raw);
  return true;
}

Allocation* find_allocation(const void* address) {
  struct Recent {
    uint64_t version = 0;
    size_t next = 0;
    std::array<Allocation*, 8> found{};
  };
  thread_local Recent recent;
  if (!is_device_address(address)) return nullptr;
  const auto* p = static_cast<const char*>(address);
  if (recent.version != version) {
    recent.version = version;
    recent.found = {};
  }
  for (Allocation* a : recent.found)
    if (a && p >= a->raw && p < a->raw + a->raw_bytes) return a;
  const Inside inside;
  Allocation* a = look_up(p);
  recent.found[recent.next++ % recent.found.size()] = a;
  return a;
}

Record* records_of(Allocation& a) {
  if (!a.records) {
    const size_t count = a.capacity / 2 + 1;
    a.records = static_cast<Record*>(std::calloc(count, sizeof(Record)));
    if (!a.records) throw std::bad_alloc();
    if (a.known_before)
      for (size_t i = 0; i < count; i++) a.records[i].initialised = 3;
  }
  return a.records;
}

bool is_device_range(const void* p, size_t bytes) {
  const Allocation* a = find_allocation(p);
  const auto* begin = static_cast<const char*>(p);
  return a && begin >= a->begin && begin + bytes <= a->begin + a->bytes;
}

void mark_written(void* to, const void* from, size_t bytes) {
  const Inside inside;
  Allocation* a = find_allocation(to);
  if (!settings().check || !a || !bytes) return;
  Record* records = records_of(*a);
  Allocation* source = from ? find_allocation(from) : nullptr;
  Record* source_records = source ? records_of(*source) : nullptr;
  const size_t offset = static_cast<size_t>(static_cast<char*>(to) - a->begin);
  for (size_t i = 0; i < bytes; i++) {
    unsigned known = 1;
    if (source_records) {
      const size_t j = static_cast<size_t>(static_cast<const char*>(from) - source->begin) + i;
      known = source_records[j / 2].initialised >> (j % 2) & 1u;
    }
    Record& r = records[(offset + i) / 2];
    const unsigned bit = 1u << ((offset + i) % 2);
    r.initialised = static_cast<uint8_t>(known ? r.initialised | bit : r.initialised & ~bit) & 3;
    r.epoch = 0;
  }
}

size_t memory_in_use() {
  const std::lock_guard lock(mutex);
  return in_use;
}

void reuse(void* pointer, size_t bytes) {
  const Inside inside;
  Allocation* a = find_allocation(pointer);
  if (!a || a->begin != pointer || bytes > a->capacity) return;
  a->bytes = bytes;
  a->known_before = !settings().check;
  clear_records(*a);
  poison(a->begin, a->capacity);
}

}  // namespace emulator
