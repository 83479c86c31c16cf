// Running a grid: its blocks one after another on a few OS threads, or all together.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "block.h"
#include "device_memory.h"
#include "launch_grid.h"
#include "profile.h"

namespace emulator {
namespace {

std::mutex report_mutex;
std::string report;
std::string host_report;  // a launcher's mistake, told by the next launch

// Helps the launching thread with its blocks. Helpers live as long as the process: ending them
// would race with other static destructors.
class Helpers {
 public:
  void run(int count, const std::function<void()>& work) {
    std::unique_lock lock(mutex_);
    while (static_cast<int>(threads_) < count) {
      std::thread([this] { serve(); }).detach();
      threads_++;
    }
    work_ = &work;
    wanted_ = active_ = count;
    lock.unlock();
    begin_.notify_all();
    work();
    lock.lock();
    end_.wait(lock, [this] { return active_ == 0; });
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      begin_.wait(lock, [this] { return wanted_ > 0; });
      wanted_--;
      const auto* work = work_;
      lock.unlock();
      (*work)();
      lock.lock();
      if (--active_ == 0) end_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable begin_, end_;
  const std::function<void()>* work_ = nullptr;
  int threads_ = 0, wanted_ = 0, active_ = 0;
};

Helpers& helpers() {
  static auto* h = new Helpers;
  return *h;
}

std::string run_separately(Grid& grid, uint32_t blocks, int workers) {
  std::atomic<uint32_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::string error;
  const std::function<void()> work = [&] {
    thread_local std::unique_ptr<Block> block;
    if (!block) block = std::make_unique<Block>();
    for (uint32_t i; !stop && (i = next++) < blocks;) {
      block->begin(grid, i);
      std::string text = emulator::run({block.get()});
      if (profiling) profile_end_block();
      if (text.empty()) continue;
      const std::lock_guard lock(mutex);
      if (error.empty()) error = std::move(text);
      stop = true;
    }
  };
  const int used = std::min<int>(workers, static_cast<int>(std::min(blocks, 64u)));
  if (used > 1)
    helpers().run(used - 1, work);
  else
    work();
  return error;
}

std::string run_together(Grid& grid, uint32_t blocks) {
  thread_local std::vector<std::unique_ptr<Block>> own;
  while (own.size() < blocks) own.push_back(std::make_unique<Block>());
  for (uint32_t i = 0; i < blocks; i++) {
    own[i]->begin(grid, i);
    grid.blocks.push_back(own[i].get());
  }
  std::string error = emulator::run(grid.blocks);
  if (profiling) profile_end_block();
  return error;
}

bool valid(dim3 grid, dim3 block) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  return grid.x && grid.y && grid.z && grid.x <= 0x7fffffffu && grid.y <= 65535 &&
         grid.z <= 65535 && threads && threads <= 1024 && block.z <= 64;
}

cudaError_t fail_launch(cudaError_t code, std::string text) {
  const std::lock_guard lock(report_mutex);
  report = std::move(text);
  return code;
}

}  // namespace

size_t most_shared_bytes() { return settings().capability >= 90 ? 227 * 1024 : 163 * 1024; }

cudaError_t run_grid(const void* kernel, dim3 size, dim3 block, size_t dynamic_bytes,
                     bool cooperative, const std::function<void()>& body) {
  const Inside inside;
  // One grid at a time, as on one stream; the checks' records rely on it.
  static std::mutex device;
  const std::lock_guard lock(device);
  checking = settings().check;
  profiling = !settings().profile.empty();
  watching = checking || profiling;
  {
    const std::lock_guard report_lock(report_mutex);
    if (!host_report.empty()) {
      report = std::move(host_report);
      host_report.clear();
      return cudaErrorLaunchFailure;
    }
  }
  if (!valid(size, block)) return cudaErrorInvalidConfiguration;
  if (dynamic_bytes > most_shared_bytes()) return cudaErrorInvalidValue;
  next_launch();
  Grid grid;
  grid.size = size;
  grid.block_size = block;
  grid.dynamic_bytes = dynamic_bytes;
  grid.body = &body;
  grid.kernel = kernel;
  grid.cooperative = cooperative;
  const uint32_t blocks = size.x * size.y * size.z;
  std::string error = cooperative ? run_together(grid, blocks)
                                  : run_separately(grid, blocks, watching ? 1 : settings().workers);
  if (profiling) profile_end_launch(grid);
  if (error.empty()) return cudaSuccess;
  return fail_launch(cudaErrorLaunchFailure, std::move(error));
}

void refuse_host_access(size_t bytes, bool write, Place place) {
  const std::lock_guard lock(report_mutex);
  if (!host_report.empty()) return;
  host_report = std::string("host code ") + (write ? "writes " : "reads ") + std::to_string(bytes) +
                " bytes of device memory";
  const std::string line = source_line(place);
  if (!line.empty()) host_report += "; at " + line;
}

std::string last_report() {
  const std::lock_guard lock(report_mutex);
  return report;
}

}  // namespace emulator
