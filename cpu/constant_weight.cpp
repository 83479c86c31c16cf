// See constant_weight.h.
#include "constant_weight.h"

#include <memory>
#include <new>
#include <unordered_map>
#include <vector>

#include "../binding/device.h"
#include "../binding/tensor.h"
#include "memory.h"

namespace cpu {
#include "../binding/kernels.h"

namespace {

struct Free {
  void operator()(void* data) const { give_back_memory(data); }
};

// Batches of different sizes may want different layouts of one weight: there are two or three.
struct Packed {
  onednn::Desc layout;
  std::unique_ptr<void, Free> data;
};

std::unordered_map<int, std::vector<Packed>>& constants() {
  thread_local std::unordered_map<int, std::vector<Packed>> constants;
  return constants;
}

}  // namespace

const void* constant_weight(int constant, const onednn::Desc& layout,
                            const std::function<void(void*)>& write) {
  std::vector<Packed>& known = constants()[constant];
  for (const Packed& packed : known)
    if (packed.layout == layout) return packed.data.get();
  std::unique_ptr<void, Free> data(take_memory(onednn::align(layout.get_size())));
  if (!data) throw std::bad_alloc();
  write(data.get());
  known.push_back({layout, std::move(data)});
  return known.back().data.get();
}

void drop_constant(int constant, Stream&) { constants().erase(constant); }

}  // namespace cpu
