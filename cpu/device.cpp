// The CPU as a device: memory from the heap, kept for reuse by size; kernels run on the queue's thread with OpenMP.
#include "../binding/device.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace cpu {
namespace {

constexpr size_t kAlignment = 64;

// Sizes are rounded up to eight steps per power of two, so that a freed block fits the next request of about its size.
size_t rounded(size_t bytes) {
  size_t step = kAlignment;
  while (step * 16 <= bytes) step *= 2;
  return std::max<size_t>(kAlignment, (bytes + step - 1) / step * step);
}

class CpuStream : public Stream {
 public:
  ~CpuStream() override { std::free(data_); }
  void* scratch(size_t bytes) override {
    if (bytes > capacity_) {
      std::free(data_);
      capacity_ = rounded(bytes);
      data_ = std::aligned_alloc(kAlignment, capacity_);
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
    void* data = std::aligned_alloc(kAlignment, size);
    if (data) reserved_ += size;
    return data;
  }

  void free(void* data, size_t bytes) override {
    if (data) unused_[rounded(bytes)].push_back(data);
  }

  void trim() override {
    for (auto& [size, blocks] : unused_) {
      for (void* data : blocks) std::free(data);
      reserved_ -= size * blocks.size();
      blocks.clear();
    }
  }

  size_t reserved_bytes() const override { return reserved_; }
  size_t total_bytes() const override {
    return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  }
  size_t available_bytes() const override {
    std::ifstream file("/proc/meminfo");
    std::string key;
    size_t kib;
    for (std::string unit; file >> key >> kib && std::getline(file, unit);)
      if (key == "MemAvailable:") return kib * 1024;
    return total_bytes();
  }

  void copy_from_host(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void synchronize() override {}

 private:
  CpuStream stream_;
  std::unordered_map<size_t, std::vector<void*>> unused_;
  size_t reserved_ = 0;
};

}  // namespace

std::unique_ptr<Device> create_device() { return std::make_unique<CpuDevice>(); }

}  // namespace cpu
