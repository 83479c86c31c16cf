// Blocks of device memory and who owns them: a tensor's storage, and the pool that the tensors of a
// captured graph share. JavaScript thread only.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "device.h"

// Bytes in use now and at most.
struct MemoryUse {
  size_t live = 0;
  size_t peak = 0;
  void add(size_t bytes) {
    live += bytes;
    peak = std::max(peak, live);
  }
  void remove(size_t bytes) { live -= bytes; }
};

// Memory for the tensors of captured graphs. Blocks freed while a graph is recorded serve the rest
// of it and the graphs recorded after it in the same pool, but go back to the device only with the
// pool, because replays use their addresses.
class Pool {
 public:
  Pool(Device* device, MemoryUse* use) : device_(device), use_(use) {}
  ~Pool() {
    for (const auto& [data, bytes] : segments_) {
      device_->free(data, bytes);
      use_->remove(bytes);
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Null when the device has no memory left. The smallest block that is large enough is split.
  void* allocate(size_t bytes) {
    bytes = std::max<size_t>(kGrain, (bytes + kGrain - 1) / kGrain * kGrain);
    auto best = unused_.lower_bound({bytes, nullptr});
    if (best == unused_.end()) {
      if (!grow(bytes)) return nullptr;
      best = unused_.lower_bound({bytes, nullptr});
    }
    const auto [size, data] = *best;
    unused_.erase(best);
    Block& block = blocks_.at(data);
    block.unused = false;
    if (size > bytes) {
      block.bytes = bytes;
      put(data + bytes, {size - bytes, false, true});
    }
    return data;
  }

  // Joins the block with unused neighbours of its segment.
  void free(void* data) {
    auto block = blocks_.find(static_cast<char*>(data));
    block->second.unused = true;
    const auto next = std::next(block);
    if (next != blocks_.end() && next->second.unused && !next->second.first) {
      unused_.erase({next->second.bytes, next->first});
      block->second.bytes += next->second.bytes;
      blocks_.erase(next);
    }
    if (!block->second.first && std::prev(block)->second.unused) {
      const auto before = std::prev(block);
      unused_.erase({before->second.bytes, before->first});
      before->second.bytes += block->second.bytes;
      blocks_.erase(block);
      block = before;
    }
    unused_.insert({block->second.bytes, block->first});
  }

 private:
  static constexpr size_t kGrain = 256;
  static constexpr size_t kSegment = size_t{1} << 20;

  struct Block {
    size_t bytes;
    bool first;  // of its segment
    bool unused;
  };

  void put(char* data, Block block) {
    blocks_[data] = block;
    unused_.insert({block.bytes, data});
  }

  // A segment a quarter larger than asked for, so that the next graph, of slightly larger tensors,
  // finds room in it.
  bool grow(size_t bytes) {
    for (const size_t size : {std::max(kSegment, (bytes + bytes / 4) / kGrain * kGrain), bytes}) {
      if (auto* data = static_cast<char*>(device_->allocate(size))) {
        segments_.push_back({data, size});
        use_->add(size);
        put(data, {size, true, true});
        return true;
      }
    }
    return false;
  }

  Device* device_;
  MemoryUse* use_;
  std::map<char*, Block> blocks_;
  std::set<std::pair<size_t, char*>> unused_;
  std::vector<std::pair<void*, size_t>> segments_;
};

// A block of device memory; views share it. `data` is null when there was none left.
struct Storage {
  void* data;
  size_t bytes;
  // The recording that it was made in; 0: none.
  uint64_t recording = 0;

  Storage(Device* device, MemoryUse* use, size_t bytes)
      : data(device->allocate(bytes)), bytes(bytes), device_(device), use_(use) {
    if (data) use_->add(bytes);
  }
  Storage(std::shared_ptr<Pool> pool, size_t bytes, uint64_t recording)
      : data(pool->allocate(bytes)), bytes(bytes), recording(recording), pool_(std::move(pool)) {}
  ~Storage() {
    if (!data) return;
    if (pool_) {
      pool_->free(data);
    } else {
      use_->remove(bytes);
      device_->free(data, bytes);
    }
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

 private:
  Device* device_ = nullptr;
  MemoryUse* use_ = nullptr;
  std::shared_ptr<Pool> pool_;
};
