// Vector clocks (Mattern 1989): slot i counts the events of thread or engine i that have been seen.
#pragma once
#include <cstdint>
#include <vector>

namespace emulator {

using Clock = std::vector<uint32_t>;

inline void join(Clock& into, const Clock& from) {
  if (into.size() < from.size()) into.resize(from.size(), 0);
  uint32_t* a = into.data();
  const uint32_t* b = from.data();
  for (size_t i = 0; i < from.size(); i++) a[i] = a[i] > b[i] ? a[i] : b[i];
}

}  // namespace emulator
