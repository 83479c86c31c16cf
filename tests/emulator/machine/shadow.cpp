// The checks of memory accesses: bounds, first reads, races, proxies.
#include "shadow.h"

#include <algorithm>

#include "block.h"
#include "device_memory.h"

namespace emulator {

bool watching = false;
bool checking = false;

namespace {

uint32_t launch_number = 0;

// Whether event `clock` of `who` in `block` is known to somebody who has seen `seen`.
bool ordered(const Block& b, uint32_t block, int who, uint32_t clock, const Clock& seen) {
  if (block == b.number) return seen[who] >= clock;
  const auto releases = b.grid->releases_of.find(block);
  if (releases == b.grid->releases_of.end()) return false;
  const auto& indices = releases->second;
  auto after = std::lower_bound(indices.begin(), indices.end(), seen[b.foreign_slot()]);
  if (after == indices.begin()) return false;
  return b.grid->releases[*--after].clock[who] >= clock;
}

std::string actor(const Block& b, int who) {
  if (who < b.threads) return "thread " + std::to_string(who);
  if (who < b.store_engine()) return "TMA";
  if (who == b.store_engine()) return "a TMA store";
  return "wgmma of warp " + std::to_string(who - b.tensor_engine(0));
}

struct Target {
  Block& block;
  bool shared;
  const char* address;
  uint32_t epoch;
};

[[noreturn]] void race(const Target& at, const Access& access, const char* earlier, int who,
                       uint32_t other_block) {
  std::string text = std::string("data race: ") + (access.write ? "write" : "read") + " by " +
                     actor(at.block, access.who) + " of ";
  text += at.shared ? "shared address " + std::to_string(at.address - at.block.shared)
                    : "global memory";
  text += std::string(" and ") + earlier + " by " + actor(at.block, who);
  if (other_block != at.block.number) text += " of block " + std::to_string(other_block);
  text += ", without a barrier between them";
  fail_at(access.place, "%s", text.c_str());
}

// Forgets what can no longer conflict. An engine's access outlives a barrier of the threads.
void refresh(Record& r, const Target& at) {
  if (r.epoch == at.epoch) return;
  r.epoch = at.epoch;
  if (!at.shared || r.writer <= at.block.threads) {
    r.writer = 0;
    r.written_bytes = 0;
  }
  if (!at.shared || r.reader <= at.block.threads) r.reader = 0;
  r.readers = r.other_reader = 0;
}

void check_earlier_write(const Record& r, const Target& at, const Access& access, uint8_t bytes) {
  if (!r.writer || !(r.written_bytes & bytes) || (access.atomic && r.write_was_atomic)) return;
  if (!ordered(at.block, r.write_block, r.writer - 1, r.write_clock, access.clock))
    race(at, access, "a write", r.writer - 1, r.write_block);
}

void check_earlier_reads(const Record& r, const Target& at, const Access& access) {
  Block& b = at.block;
  if (r.reader && !ordered(b, r.read_block, r.reader - 1, r.read_clock, access.clock))
    race(at, access, "a read", r.reader - 1, r.read_block);
  if (r.readers && r.read_block == b.number && r.readers_epoch == b.epoch) {
    const Clock& set = b.sets(at.shared)[r.readers - 1];
    for (size_t i = 0; i < set.size(); i++)
      if (set[i] > access.clock[i]) race(at, access, "a read", static_cast<int>(i), b.number);
  }
  if (r.other_reader && r.other_reader != b.number + 1 &&
      r.other_read_at >= access.clock[b.foreign_slot()])
    race(at, access, "a read", 0, r.other_reader == Record::kMany ? ~0u : r.other_reader - 1);
}

void remember_read(Record& r, const Target& at, const Access& access) {
  Block& b = at.block;
  const auto who = static_cast<uint16_t>(access.who + 1);
  const uint32_t clock = access.clock[access.who];
  if (r.reader && r.read_block != b.number) {
    const uint32_t other = r.read_block + 1;
    r.other_reader = !r.other_reader || r.other_reader == other ? other : Record::kMany;
    r.other_read_at = static_cast<uint32_t>(b.grid->releases.size());
    r.reader = 0;
    r.readers = 0;
  }
  if (r.readers_epoch != b.epoch) r.readers = 0;
  if (!r.readers) {
    // A reader that this one has seen need not be remembered.
    if (!r.reader || r.reader == who || access.clock[r.reader - 1] >= r.read_clock) {
      r.reader = who;
      r.read_clock = clock;
      r.read_block = b.number;
      return;
    }
    b.sets(at.shared).emplace_back(b.clock_slots(), 0);
    r.readers = static_cast<uint32_t>(b.sets(at.shared).size());
    r.readers_epoch = b.epoch;
  }
  b.sets(at.shared)[r.readers - 1][access.who] = clock;
}

void check_record(Record& r, const Target& at, const Access& access, uint8_t bytes) {
  Block& b = at.block;
  refresh(r, at);
  check_earlier_write(r, at, access, bytes);
  if (access.write) check_earlier_reads(r, at, access);
  if ((!access.write || access.atomic) && (r.initialised & bytes) != bytes)
    fail_at(access.place, "read of %s that nothing has written%s",
            at.shared ? "shared memory" : "global memory",
            at.shared ? (" (shared address " + std::to_string(at.address - b.shared) + ")").c_str()
                      : "");
  if (!access.record) return;
  if (access.write) {
    r.writer = static_cast<uint16_t>(access.who + 1);
    r.write_clock = access.clock[access.who];
    r.write_block = b.number;
    r.written_bytes = bytes;
    r.write_was_atomic = access.atomic;
    r.initialised = (r.initialised | bytes) & 3;
    r.reader = 0;
    r.readers = r.other_reader = 0;
    const bool thread = access.who < b.threads;
    r.generic_writer = thread ? r.writer : 0;
    if (thread) r.writer_fences = b.fibers[access.who].proxy_fences;
    return;
  }
  if (at.shared && access.who >= b.threads && r.generic_writer &&
      b.fibers[r.generic_writer - 1].proxy_fences == r.writer_fences)
    fail_at(access.place,
            "%s reads shared address %ld, which thread %d has written without a "
            "fence.proxy.async after it",
            actor(b, access.who).c_str(), static_cast<long>(at.address - b.shared),
            r.generic_writer - 1);
  remember_read(r, at, access);
}

void check_range(Record* records, const char* base, const char* begin, size_t bytes, Target at,
                 const Access& access) {
  const size_t first = static_cast<size_t>(begin - base), last = first + bytes - 1;
  for (size_t i = first / 2; i <= last / 2; i++) {
    const uint8_t mask =
        static_cast<uint8_t>((2 * i >= first ? 1 : 0) | (2 * i + 1 <= last ? 2 : 0));
    at.address = base + 2 * i;
    check_record(records[i], at, access, mask);
  }
}

void check_shared(Block& b, const char* p, size_t bytes, const Access& access) {
  const size_t offset = static_cast<size_t>(p - b.shared), end = offset + bytes;
  bool inside = offset >= kSharedBase && end <= kSharedBase + b.dynamic_bytes;
  for (const auto& s : b.statics) inside |= offset >= s.offset && end <= s.offset + s.bytes;
  if (!inside)
    fail_at(access.place, "out of bounds: %s of %zu bytes at shared address %zu",
            access.write ? "write" : "read", bytes, offset);
  check_range(b.records.data(), b.shared, p, bytes, {b, true, p, b.epoch}, access);
}

// Accumulators and operand registers of a wgmma may not be touched before it was waited for.
void check_local(const char* p, size_t bytes, const Access& access) {
  for (const InFlight& r : current.fiber->in_flight)
    if (p < r.begin + r.bytes && p + bytes > r.begin)
      fail_at(access.place, "registers of a wgmma are %s before wgmma_wait",
              access.write ? "written" : "read");
}

}  // namespace

void check_access(const void* address, size_t bytes, const Access& access) {
  Block& b = *current.owner;
  const auto* p = static_cast<const char*>(address);
  if (b.in_shared(p)) return check_shared(b, p, bytes, access);
  if (b.in_stacks(p)) return check_local(p, bytes, access);
  if (!is_device_address(p)) {
    // Parameters and constants lie outside of device memory too, but are only read.
    if (access.write)
      fail_at(access.place, "write of %zu bytes to %p, which is not device memory", bytes, address);
    return;
  }
  Allocation* a = find_allocation(p);
  if (!a)
    fail_at(access.place, "%s of %zu bytes of device memory that is not allocated, or freed",
            access.write ? "write" : "read", bytes);
  if (p < a->begin || p + bytes > a->begin + a->bytes)
    fail_at(access.place, "out of bounds: %s of %zu bytes at offset %ld of %zu bytes allocated",
            access.write ? "write" : "read", bytes, static_cast<long>(p - a->begin), a->bytes);
  check_range(records_of(*a), a->begin, p, bytes, {b, false, p, launch_number}, access);
}

void check_read(const void* address, size_t bytes) {
  const Fiber& f = *current.fiber;
  check_access(address, bytes, {.who = f.id, .clock = f.clock, .place = f.place});
}

void check_write(const void* address, size_t bytes) {
  const Fiber& f = *current.fiber;
  check_access(address, bytes, {.who = f.id, .clock = f.clock, .write = true, .place = f.place});
}

void next_launch() { launch_number++; }

}  // namespace emulator
