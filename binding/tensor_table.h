// Numeric handles to tensors, and the memory behind them. JavaScript thread only.
#pragma once
#include <memory>
#include <vector>

#include "device.h"
#include "errors.h"
#include "tensor.h"

// A block of device memory; views share it.
struct Storage {
  Device* device;
  void* data;
  size_t bytes;
  Storage(Device* device, size_t bytes) : device(device), bytes(bytes) {
    data = device->allocate(bytes);
  }
  ~Storage() { device->free(data, bytes); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
};

class TensorTable {
 public:
  explicit TensorTable(Device* device) : device_(device) { entries_.emplace_back(); }

  // Handle of a new tensor, 0 when the device has no memory left.
  uint32_t create(Tensor tensor) {
    auto storage = std::make_shared<Storage>(device_, static_cast<size_t>(tensor.bytes()));
    if (!storage->data) return 0;
    tensor.data = storage->data;
    live_bytes_ += storage->bytes;
    peak_bytes_ = std::max(peak_bytes_, live_bytes_);
    return insert({tensor, std::move(storage), true});
  }

  // Handle of a view: other sizes over the memory of `handle`, `offset` elements in.
  uint32_t view(uint32_t handle, Tensor tensor, int64_t offset) {
    const Entry& base = at(handle);
    const int64_t last = offset + (tensor.rows() - 1) * tensor.row_stride + tensor.columns();
    const auto end = static_cast<char*>(base.tensor.data) + last * bytes_of(tensor.dtype);
    if (offset < 0 || end > static_cast<char*>(base.storage->data) + base.storage->bytes)
      throw InternalError("view reaches beyond its tensor");
    tensor.data = static_cast<char*>(base.tensor.data) + offset * bytes_of(tensor.dtype);
    return insert({tensor, base.storage, false});
  }

  // Work in flight keeps its addresses: see Device::allocate.
  void free(uint32_t handle) {
    Entry& entry = at(handle);
    if (entry.owner) live_bytes_ -= entry.storage->bytes;
    entry = {};
    unused_.push_back(handle);
    live_tensors_--;
  }

  // Handle 0 stands for an absent optional tensor.
  Tensor get(uint32_t handle) { return handle == 0 ? Tensor{} : at(handle).tensor; }

  int64_t live_tensors() const { return live_tensors_; }
  size_t live_bytes() const { return live_bytes_; }
  size_t peak_bytes() const { return peak_bytes_; }
  void reset_peak() { peak_bytes_ = live_bytes_; }

 private:
  struct Entry {
    Tensor tensor;
    std::shared_ptr<Storage> storage;
    bool owner = false;
  };

  Entry& at(uint32_t handle) {
    if (handle == 0 || handle >= entries_.size() || !entries_[handle].storage)
      throw DisposedError("this tensor was freed. Keep it with scope.keep(tensor)");
    return entries_[handle];
  }

  uint32_t insert(Entry entry) {
    live_tensors_++;
    if (!unused_.empty()) {
      const uint32_t handle = unused_.back();
      unused_.pop_back();
      entries_[handle] = std::move(entry);
      return handle;
    }
    entries_.push_back(std::move(entry));
    return static_cast<uint32_t>(entries_.size() - 1);
  }

  Device* device_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> unused_;
  int64_t live_tensors_ = 0;
  size_t live_bytes_ = 0;
  size_t peak_bytes_ = 0;
};
