// What the checks know of memory: one record for every two bytes.
#pragma once
#include <cstddef>
#include <cstdint>

#include "clock.h"

namespace emulator {

struct Block;
struct Fiber;

// Checks or the profile are wanted: tested inline by every access hook.
extern bool watching;
extern bool checking;

struct Record {
  // Accesses of an older epoch can no longer conflict: a launch or a barrier of the whole block
  // lies between.
  uint32_t epoch;
  uint32_t write_clock, write_block;
  uint32_t read_clock, read_block;
  uint32_t readers;         // index + 1 of the set of readers in the block; 0: at most one reader
  uint32_t readers_epoch;   // of the block, whose sets end with it; global records live on
  uint32_t other_reader;    // 0: none; block + 1: that block has read too; kMany: several
  uint32_t other_read_at;   // releases of the grid known at that time
  uint32_t writer_fences;   // proxy fences that the writer had executed
  uint16_t writer, reader;  // thread or engine + 1; 0: none
  uint16_t generic_writer;  // thread + 1 that wrote last, not an engine; survives epochs
  uint8_t written_bytes;    // which of the two bytes the last write touched
  uint8_t initialised : 2;
  uint8_t write_was_atomic : 1;
  static constexpr uint32_t kMany = ~0u;
};

// One access by a thread or an engine, with what it has seen.
struct Access {
  int who;
  const Clock& clock;
  bool write = false;
  bool atomic = false;
  const void* place = nullptr;
  bool record = true;  // false: look for conflicts only
};

// Reports the first rule that the access breaks; else remembers it.
void check_access(const void* address, size_t bytes, const Access& access);
// By the calling thread.
void check_read(const void* address, size_t bytes);
void check_write(const void* address, size_t bytes);

// A new launch: earlier accesses to global memory cannot conflict with it.
void next_launch();

}  // namespace emulator
