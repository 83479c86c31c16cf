// The CPU as a device: memory from the heap, kept for reuse by size; kernels run on the queue's
// thread with OpenMP.
#include "../binding/device.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "memory.h"

namespace cpu {
namespace {

#if defined(__x86_64__)
constexpr unsigned kSubnormalsAreZero = 0x8000 | 0x0040;  // as results, as operands
#elif defined(__aarch64__)
constexpr uint64_t kSubnormalsAreZero = uint64_t{1} << 24;  // both
#endif

// Sizes are rounded up to eight steps per power of two, so that a freed block fits the next request
// of about its size.
size_t rounded(size_t bytes) {
  size_t step = kMemoryAlignment;
  while (step * 16 <= bytes) step *= 2;
  return std::max<size_t>(kMemoryAlignment, (bytes + step - 1) / step * step);
}

// Processors that a container's quota is worth, rounded up; a large number without one.
int quota_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota, period;
  return file >> quota >> period ? static_cast<int>(std::ceil(quota / period)) : 1 << 20;
}

#ifdef __linux__
std::vector<int> allowed_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

// Gives each thread a core of its own. Left to itself the system wakes a helper on the core of the
// thread that wakes it, where the two take turns: two threads were then as slow as one
// (docs/numbers.md). JavaScript's and sharp's threads stay free to run anywhere. CAPTIONEER_PIN=0
// switches it off.
void pin_threads() {
  const std::vector<int> cpus = allowed_cpus();
  const char* wish = std::getenv("CAPTIONEER_PIN");
  if ((wish && std::string(wish) == "0") || omp_get_max_threads() > static_cast<int>(cpus.size()))
    return;
#pragma omp parallel
  {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpus[omp_get_thread_num()], &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  }
}
#else
// macOS has no way to.
void pin_threads() {}
#endif

// Numbers below 1e-38 become 0 in every kernel: with them a processor takes many times as long for
// a product, and a layer scale of 1e-5 brings forth many (training of EIR's decoder was six times
// slower from its second epoch on). Helpers to come inherit this from the queue's thread.
void flush_subnormals() {
#pragma omp parallel
  {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | kSubnormalsAreZero);
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" ::"r"(control | kSubnormalsAreZero));
#endif
  }
}

class CpuStream : public Stream {
 public:
  ~CpuStream() override { give_back_memory(data_); }
  void* scratch(size_t bytes) override {
    if (bytes > capacity_) {
      give_back_memory(data_);
      capacity_ = rounded(bytes);
      data_ = take_memory(capacity_);
      if (!data_) {
        capacity_ = 0;
        throw std::bad_alloc();
      }
    }
    return data_;
  }

 private:
  void* data_ = nullptr;
  size_t capacity_ = 0;
};

class CpuDevice : public Device {
 public:
  ~CpuDevice() override { trim(); }
  const char* name() const override { return "cpu"; }
  std::string description() const override {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
      if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
    return "unknown processor";
  }
  void start() override {
    if (!std::getenv("OMP_NUM_THREADS"))
      omp_set_num_threads(std::max(1, std::min(omp_get_max_threads(), quota_cpus())));
    pin_threads();
    flush_subnormals();
  }
  Stream& stream() override { return stream_; }

  void* allocate(size_t bytes) override {
    const size_t size = rounded(bytes);
    auto& blocks = unused_[size];
    if (!blocks.empty()) {
      void* data = blocks.back();
      blocks.pop_back();
      return data;
    }
    // The kernel promises more memory than it has and kills whoever uses it: ask before.
    if (size > (size_t{64} << 20) && size > available_bytes()) return nullptr;
    void* data = take_memory(size);
    if (data) reserved_ += size;
    return data;
  }

  void free(void* data, size_t bytes) override {
    if (data) unused_[rounded(bytes)].push_back(data);
  }

  void trim() override {
    for (auto& [size, blocks] : unused_) {
      for (void* data : blocks) give_back_memory(data);
      reserved_ -= size * blocks.size();
      blocks.clear();
    }
  }

  size_t reserved_bytes() const override { return reserved_; }
  size_t total_bytes() const override {
    return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<size_t>(sysconf(_SC_PAGESIZE));
  }
  size_t available_bytes() const override {
    std::ifstream file("/proc/meminfo");
    std::string key;
    size_t kib;
    for (std::string unit; file >> key >> kib && std::getline(file, unit);)
      if (key == "MemAvailable:") return kib * 1024;
    return total_bytes();
  }

  std::shared_ptr<void> stage(const void* from, size_t bytes) override {
    std::shared_ptr<char[]> copy(new char[bytes]);
    std::memcpy(copy.get(), from, bytes);
    return copy;
  }
  void send(void* to, const std::shared_ptr<void>& staged, size_t bytes) override {
    std::memcpy(to, staged.get(), bytes);
  }
  void read(void* to, const void* from, size_t bytes,
            std::function<void(std::exception_ptr)> done) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
    done(nullptr);
  }

 private:
  CpuStream stream_;
  std::unordered_map<size_t, std::vector<void*>> unused_;
  size_t reserved_ = 0;
};

}  // namespace

std::unique_ptr<Device> create_device() { return std::make_unique<CpuDevice>(); }

}  // namespace cpu
