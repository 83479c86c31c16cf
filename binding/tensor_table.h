// Numeric handles to tensors. The memory behind them is storage.h's. JavaScript thread only.
#pragma once
#include <memory>
#include <vector>

#include "errors.h"
#include "storage.h"
#include "tensor.h"

class TensorTable {
 public:
  TensorTable() { entries_.emplace_back(); }

  // Handle of a new tensor over the whole of a storage.
  uint32_t create(Tensor tensor, std::shared_ptr<Storage> storage) {
    tensor.data = storage->data;
    return insert({tensor, std::move(storage)});
  }

  // Handle of a view: other sizes over the memory of `handle`, `offset` elements in.
  uint32_t view(uint32_t handle, Tensor tensor, int64_t offset) {
    const Entry& base = at(handle);
    const int64_t last = offset + (tensor.rows() - 1) * tensor.row_stride + tensor.columns();
    const auto end = static_cast<char*>(base.tensor.data) + last * bytes_of(tensor.dtype);
    if (offset < 0 || end > static_cast<char*>(base.storage->data) + base.storage->bytes)
      throw InternalError("view reaches beyond its tensor");
    tensor.data = static_cast<char*>(base.tensor.data) + offset * bytes_of(tensor.dtype);
    return insert({tensor, base.storage});
  }

  // Work in flight keeps its addresses: see Device::allocate.
  void free(uint32_t handle) {
    at(handle) = {};
    unused_.push_back(handle);
    live_tensors_--;
  }

  // Handle 0 stands for an absent optional tensor.
  Tensor get(uint32_t handle) { return handle == 0 ? Tensor{} : at(handle).tensor; }
  const std::shared_ptr<Storage>& storage(uint32_t handle) { return at(handle).storage; }

  int64_t live_tensors() const { return live_tensors_; }

 private:
  struct Entry {
    Tensor tensor;
    std::shared_ptr<Storage> storage;
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

  std::vector<Entry> entries_;
  std::vector<uint32_t> unused_;
  int64_t live_tensors_ = 0;
};
