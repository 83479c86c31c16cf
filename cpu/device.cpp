// The CPU as a device: memory from the heap, kept for reuse by size; kernels run on the queue's
// thread with OpenMP.
#include "../binding/device.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace cpu {
namespace {

constexpr size_t kAlignment = 64;
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
  return static_cast<char*>(base) + (whole - bytes) / kAlignment * kAlignment;
}

// From the heap, null when it is exhausted. Large blocks on large pages where the system has them:
// a product that reads a weight once spends much of its time on finding small ones.
void* take(size_t bytes) {
  if (guarded()) return take_guarded(bytes);
  if (bytes < kHugePage) return std::aligned_alloc(kAlignment, bytes);
  void* data = std::aligned_alloc(kHugePage, bytes);
#ifdef MADV_HUGEPAGE
  if (data) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

void give_back(void* data) {
  if (!guarded()) std::free(data);
}

// Sizes are rounded up to eight steps per power of two, so that a freed block fits the next request
// of about its size.
size_t rounded(size_t bytes) {
  size_t step = kAlignment;
  while (step * 16 <= bytes) step *= 2;
  return std::max<size_t>(kAlignment, (bytes + step - 1) / step * step);
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
void pin_threads() {}  // macOS has no way to
#endif

class CpuStream : public Stream {
 public:
  ~CpuStream() override { give_back(data_); }
  void* scratch(size_t bytes) override {
    if (bytes > capacity_) {
      give_back(data_);
      capacity_ = rounded(bytes);
      data_ = take(capacity_);
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
    void* data = take(size);
    if (data) reserved_ += size;
    return data;
  }

  void free(void* data, size_t bytes) override {
    if (data) unused_[rounded(bytes)].push_back(data);
  }

  void trim() override {
    for (auto& [size, blocks] : unused_) {
      for (void* data : blocks) give_back(data);
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
