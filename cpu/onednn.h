// oneDNN in three words: the engine, a cache of primitives, and a primitive with its memories,
// ready to run. What the primitives compute is in the files of their ops.
#pragma once
#include <array>
#include <dnnl.hpp>
#include <initializer_list>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cpu::onednn {

using Tag = dnnl::memory::format_tag;
using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

// Everything here belongs to one thread: a device runs all its kernels on one, and nothing needs a
// lock.
inline const dnnl::engine& engine() {
  thread_local const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

inline const dnnl::stream& stream() {
  thread_local const dnnl::stream stream(engine());
  return stream;
}

inline Desc describe(const Dims& dims, Tag tag) {
  return Desc(dims, dnnl::memory::data_type::f32, tag);
}

// Scratch memory comes from the caller: a primitive that owns its own would keep it between calls.
inline dnnl::primitive_attr attributes(const dnnl::post_ops& post_ops = {}) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_post_ops(post_ops);
  return attributes;
}

// oneDNN 3 takes as plain arguments what oneDNN 2 wrapped into an operation's description, and no
// scale of activations.
template <class PrimitiveDesc, class... Arguments>
PrimitiveDesc describe_primitive(const dnnl::primitive_attr& attributes,
                                 const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return PrimitiveDesc(engine(), arguments..., attributes);
#else
  return PrimitiveDesc({arguments...}, attributes, engine());
#endif
}

// As above, for a backward primitive: `forward` tells it which forward it belongs to.
template <class PrimitiveDesc, class Forward, class... Arguments>
PrimitiveDesc describe_backward(const Forward& forward, const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return PrimitiveDesc(engine(), arguments..., forward, attributes());
#else
  return PrimitiveDesc({arguments...}, attributes(), engine(), forward);
#endif
}

inline void append_activation(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha,
                              float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, beta);
#else
  ops.append_eltwise(1, algorithm, alpha, beta);
#endif
}

constexpr size_t align(size_t bytes) { return (bytes + 63) / 64 * 64; }

// A primitive with its memories. Addresses are given for each run and not kept beyond it.
class Runner {
 public:
  // `arguments`: DNNL_ARG_... and what lies there; run() takes addresses in the same order. An
  // absent argument has an empty description and a null address.
  template <class PrimitiveDesc>
  Runner(const PrimitiveDesc& desc, dnnl::primitive primitive,
         std::initializer_list<std::pair<int, Desc>> arguments)
      : primitive_(std::move(primitive)), scratch_bytes_(desc.scratchpad_desc().get_size()) {
    for (const auto& [index, memory] : arguments)
      if (!memory.is_zero()) add(index, memory);
    add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc());
  }

  size_t scratch_bytes() const { return scratch_bytes_; }

  void run(std::initializer_list<const void*> addresses, void* scratch) {
    size_t i = 0;
    for (const void* address : addresses)
      if (address) memories_[i++].set_data_handle(const_cast<void*>(address));
    memories_[i].set_data_handle(scratch);
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(primitive_.get(), stream().get(),
                               static_cast<int>(arguments_.size()), arguments_.data()),
        "could not run a primitive");
  }

 private:
  void add(int index, const Desc& desc) {
    memories_.emplace_back(desc, engine(), nullptr);
    arguments_.push_back({index, memories_.back().get()});
  }

  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
  size_t scratch_bytes_;
};

// Copies between two layouts of one tensor.
inline Runner reorder(const Desc& from, const Desc& to) {
  const dnnl::reorder::primitive_desc desc(engine(), from, engine(), to, attributes());
  return Runner(desc, dnnl::reorder(desc), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

// The sizes and options that tell one primitive from another.
using Key = std::array<int, 20>;

struct HashKey {
  size_t operator()(const Key& key) const {
    size_t hash = 14695981039346656037u;  // FNV-1a
    for (const int value : key) hash = (hash ^ static_cast<unsigned>(value)) * 1099511628211u;
    return hash;
  }
};

// The value made for `key`, kept for as long as the thread lives. One cache per type of value.
template <class Value, class Make>
Value& cached(const Key& key, Make make) {
  engine();  // made first, so that it outlives what is in the cache
  thread_local std::unordered_map<Key, Value, HashKey> cache;
  const auto found = cache.find(key);
  return found != cache.end() ? found->second : cache.emplace(key, make()).first->second;
}

}  // namespace cpu::onednn
