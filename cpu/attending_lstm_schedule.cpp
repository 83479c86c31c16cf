// The order in which the attending LSTM works on packed captions.
#include <algorithm>
#include <numeric>
#include <string>

#include "../binding/errors.h"
#include "attending_lstm.h"

namespace cpu {

Schedule::Schedule(Tensor offsets, int64_t tokens, int longest) {
  const int* from = offsets.i32();
  const int rows = static_cast<int>(offsets.size()) - 1;
  const auto length = [&](int row) { return from[row + 1] - from[row]; };
  if (from[0] != 0 || from[rows] != tokens || !std::is_sorted(from, from + rows + 1))
    throw ArgumentError("attendingLstm: offsets must rise from 0 to " + std::to_string(tokens) +
                        ", the rows of x");
  order.resize(rows);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return length(a) > length(b); });
  place.resize(order.size());
  for (int i = 0; i < rows; i++) place[order[i]] = i;
  const int steps = rows > 0 ? length(order[0]) : 0;
  if (steps > longest)
    throw ArgumentError("attendingLstm: a caption has " + std::to_string(steps) +
                        " tokens, more than the given longest, " + std::to_string(longest));
  token.reserve(static_cast<size_t>(tokens));
  slot.resize(tokens);
  for (int step = 0; step < steps; step++) {
    start.push_back(static_cast<int>(token.size()));
    for (const int row : order) {
      if (length(row) <= step) break;
      slot[from[row] + step] = static_cast<int>(token.size());
      token.push_back(from[row] + step);
    }
    count.push_back(static_cast<int>(token.size()) - start.back());
  }
}

Schedule::Schedule(int rows) : start{0}, count{rows}, order(rows) {
  std::iota(order.begin(), order.end(), 0);
  place = token = slot = order;
}

}  // namespace cpu
