// A part of a matrix, for work that is done where a product has just left it.
#pragma once
#include <cstdint>

namespace cpu {

struct Part {
  int64_t row, rows, column, columns;
};

}  // namespace cpu
