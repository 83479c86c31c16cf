// What the environment (or a test) chooses about the emulated device.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

enum class Schedule { fifo, reverse, random };
// When asynchronous copies and wgmma are carried out: at once, as late as allowed, or by chance.
enum class Async { eager, lazy, random };

struct Settings {
  int capability = 90;                 // CAPTIONEER_EMULATOR_CAPABILITY=8.0|9.0
  bool check = false;                  // CAPTIONEER_EMULATOR_CHECK=1: races, bounds, first reads...
  Schedule schedule = Schedule::fifo;  // CAPTIONEER_EMULATOR_SCHEDULE=fifo|reverse|random
  Async async = Async::lazy;           // CAPTIONEER_EMULATOR_ASYNC=eager|lazy|random
  uint64_t seed = 1;                   // CAPTIONEER_EMULATOR_SEED
  int workers = 2;                     // CAPTIONEER_EMULATOR_WORKERS: OS threads that run blocks
  int processors = 8;                  // CAPTIONEER_EMULATOR_PROCESSORS: claimed multiprocessors
  size_t memory = size_t{8} << 30;     // CAPTIONEER_EMULATOR_MEMORY: bytes of device memory
  std::string profile;                 // CAPTIONEER_EMULATOR_PROFILE: file for the access profile
};

// Read from the environment at first use; a test may change it between launches.
Settings& settings();

}  // namespace emulator
