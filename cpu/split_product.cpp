// See split_product.h. With x = x1 + x2 + x3, the product x y is x1 y1 + x1 y2 + x2 y1 + x2 y2 +
// x1 y3 + x3 y1, added up in float32 (Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial
// Intelligence Datatype For Higher-Precision Computations", 2019). The matrix with fewer rows is
// split once, panels of the other by the thread that multiplies them. Bound by arithmetic, for few
// rows by splitting.
#include "split_product.h"

#include <omp.h>

#include <cstdlib>
#include <cstring>

#include "../binding/errors.h"
#include "memory.h"
#include "split_panels.h"

#ifdef CAPTIONEER_MATRIX_UNIT
#include <sys/syscall.h>
#include <unistd.h>

namespace cpu {
namespace {

// So much of the shared matrix is split at a time that it stays in the second cache (2 MiB), beside
// two panels of the other.
constexpr int64_t kMostInner = 1024;
constexpr int64_t kMostShared = 192 * kMostInner;
// So many threads split so much of it each for themselves: reading what another core has just
// written takes as long, and nobody waits for anybody.
constexpr int64_t kFewThreads = 8;
constexpr int64_t kFewNumbers = 1 << 20;

// CAPTIONEER_AMX=0 turns the unit off, =all takes it for the smallest of products (tests).
const char* const wish = std::getenv("CAPTIONEER_AMX");
bool wished(const char* word) { return wish && std::strcmp(wish, word) == 0; }

// Linux lets a process have the unit's registers when it asks, for they make signal frames larger.
bool ask_for_unit() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return !wished("0") && __builtin_cpu_supports("x86-64-v4") &&
         __builtin_cpu_supports("amx-bf16") &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

const bool has_unit = ask_for_unit();
const bool takes_all = wished("all");

struct alignas(64) Configuration {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Registers 0 .. 3 hold the products, 4 and 5 tiles of x, 6 and 7 of y.
template <int X, int Y>
MATRIX_UNIT inline void multiply_pieces(Splitter& next, int64_t share) {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (Y > 1) _tile_dpbf16ps(1, 4, 7);
  if constexpr (X > 1) _tile_dpbf16ps(2, 5, 6);
  if constexpr (X > 1 && Y > 1) _tile_dpbf16ps(3, 5, 7);
  next.split(share);
}

// Not one function for both: GCC takes a register's number as text.
template <int X>
MATRIX_UNIT inline void load_x(const uint32_t* x, int piece) {
  _tile_loadd(4, x + piece * kPieceWords, 64);
  if constexpr (X > 1) _tile_loadd(5, x + kTileWords + piece * kPieceWords, 64);
}

template <int Y>
MATRIX_UNIT inline void load_y(const uint32_t* y, int piece) {
  _tile_loadd(6, y + piece * kPieceWords, 64);
  if constexpr (Y > 1) _tile_loadd(7, y + kTileWords + piece * kPieceWords, 64);
}

// The product of two panels, 16 X rows and 16 Y columns whose rows lie `bytes` apart, and meanwhile
// each time a share of the next panel. Pieces in an order that is the same for an element whether x
// is the product's a or its b (`turned`), and that keeps one of two loaded.
constexpr int kPieceProducts = 6;
template <int X, int Y>
MATRIX_UNIT void multiply_panels(float* out, int64_t bytes, const uint32_t* x, const uint32_t* y,
                                 int64_t steps, bool turned, Splitter& next, int64_t share) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; step++, x += 2 * kTileWords, y += 2 * kTileWords) {
    if (turned) {
      load_x<X>(x, 2), load_y<Y>(y, 0), multiply_pieces<X, Y>(next, share);
      load_x<X>(x, 1), multiply_pieces<X, Y>(next, share);
      load_x<X>(x, 0), multiply_pieces<X, Y>(next, share);
      load_y<Y>(y, 1), multiply_pieces<X, Y>(next, share);
      load_x<X>(x, 1), multiply_pieces<X, Y>(next, share);
      load_x<X>(x, 0), load_y<Y>(y, 2), multiply_pieces<X, Y>(next, share);
    } else {
      load_x<X>(x, 0), load_y<Y>(y, 2), multiply_pieces<X, Y>(next, share);
      load_y<Y>(y, 1), multiply_pieces<X, Y>(next, share);
      load_y<Y>(y, 0), multiply_pieces<X, Y>(next, share);
      load_x<X>(x, 1), multiply_pieces<X, Y>(next, share);
      load_y<Y>(y, 1), multiply_pieces<X, Y>(next, share);
      load_x<X>(x, 2), load_y<Y>(y, 0), multiply_pieces<X, Y>(next, share);
    }
  }
  const int64_t below = kTile * bytes / 4;
  _tile_stored(0, out, bytes);
  if constexpr (Y > 1) _tile_stored(1, out + kTile, bytes);
  if constexpr (X > 1) _tile_stored(2, out + below, bytes);
  if constexpr (X > 1 && Y > 1) _tile_stored(3, out + below + kTile, bytes);
}

constexpr auto panels_multiplier = [](bool two_x, bool two_y) {
  if (two_x) return two_y ? multiply_panels<2, 2> : multiply_panels<2, 1>;
  return two_y ? multiply_panels<1, 2> : multiply_panels<1, 1>;
};

// The product of two panels into its place in c, which lies the other way where `turned`.
MATRIX_UNIT void store_product(float* c, int64_t ldc, const float* product, int64_t rows,
                               int64_t columns, bool turned, bool accumulate) {
  for (int i = 0; i < rows; i += kTile)
    for (int j = 0; j < columns; j += kTile) {
      Floats v[kTile];
      load_square(v, product + i * kPanel + j, kPanel, kTile, kTile);
      if (turned) transpose_square(v);
      float* to = turned ? c + j * ldc + i : c + i * ldc + j;
      const int64_t most = turned ? columns - j : rows - i;
      const __mmask16 lanes = first_lanes(turned ? rows - i : columns - j);
      for (int r = 0; r < std::min<int64_t>(kTile, most); r++, to += ldc)
        _mm512_mask_storeu_ps(to, lanes, (__m512)(accumulate ? load(lanes, to) + v[r] : v[r]));
    }
}

// Memory of the thread that asks for products, kept for its next: the stream's belongs to the
// kernel that asks.
uint32_t* scratch(int64_t words) {
  struct Block {
    void* data = nullptr;
    size_t bytes = 0;
    ~Block() { give_back_memory(data); }
  };
  thread_local Block block;
  const size_t bytes = static_cast<size_t>(words) * sizeof(uint32_t);
  if (bytes > block.bytes) {
    give_back_memory(block.data);
    block.bytes = 0;
    block.data = take_memory(bytes);
    if (!block.data)
      throw OutOfMemoryError("out of memory in a matrix product. Use a smaller batch size");
    block.bytes = bytes;
  }
  return static_cast<uint32_t*>(block.data);
}

}  // namespace

bool always_split() { return has_unit && takes_all; }

bool pays_to_split(int64_t m, int64_t n, int64_t k) {
  // Measured against oneDNN's on two cores (docs/numbers.md).
  constexpr int64_t kLeastRows = 28, kLeastInner = 64, kLeastProducts = 1 << 23;
  if (!has_unit || std::min({m, n, k}) == 0) return false;
  return takes_all ||
         (std::min(m, n) >= kLeastRows && k >= kLeastInner && m * n * k >= kLeastProducts);
}

MATRIX_UNIT void multiply_split(const SplitProduct& p,
                                const std::function<void(const Part&)>& finish) {
  // The one with more rows is split in the order in which it lies; that decides which of the two is
  // x, whose rows the unit takes along k.
  const bool a_shared = p.m < p.n;
  const Operand &shared = a_shared ? p.a : p.b, &own = a_shared ? p.b : p.a;
  const int64_t shared_rows = std::min(p.m, p.n), own_rows = std::max(p.m, p.n);
  const bool own_is_x = own.along;
  const bool turned = own_is_x == a_shared;

  const int64_t most_numbers = std::min(p.k, kMostInner);
  const int64_t most = std::max<int64_t>(1, kMostShared / most_numbers / kPanel) * kPanel;
  const int64_t blocks = (shared_rows + most - 1) / most;
  const int64_t block = panels_of((shared_rows + blocks - 1) / blocks) * kPanel;
  const int64_t panel_words = 2 * kTileWords * steps_of(most_numbers);
  const int64_t shared_words = block / kPanel * panel_words;
  const int64_t most_threads = omp_get_max_threads();
  const bool copies = most_threads <= kFewThreads && shared_rows * p.k <= kFewNumbers;
  uint32_t* memory =
      scratch((copies ? most_threads : 1) * shared_words + most_threads * 2 * panel_words);

#pragma omp parallel
  {
    const Configuration configuration;
    _tile_loadconfig(&configuration);
    const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    uint32_t* in_shared = memory + most_threads * 2 * panel_words + copies * thread * shared_words;
    uint32_t* in_own = memory + thread * 2 * panel_words;
    const int64_t begin = panels_of(own_rows) * thread / threads * kPanel;
    const int64_t end = std::min(own_rows, panels_of(own_rows) * (thread + 1) / threads * kPanel);
    for (int64_t first = 0; first < shared_rows; first += block)
      for (int64_t number = 0; number < p.k; number += kMostInner) {
        const int64_t count = std::min(block, shared_rows - first);
        const int64_t numbers = std::min(kMostInner, p.k - number);
        const bool accumulate = number > 0 || p.accumulate;
        for (int64_t i = copies ? 0 : thread * kPanel; i < count;
             i += copies ? kPanel : threads * kPanel)
          split_panel(in_shared + i / kPanel * panel_words, from(shared, first + i, number),
                      std::min<int64_t>(kPanel, count - i), numbers, !own_is_x);
        if (!copies) {
#pragma omp barrier
        }

        const auto panel_at = [&](int64_t j) { return in_own + j / kPanel % 2 * panel_words; };
        const auto splitter = [&](int64_t j) {
          const int64_t rows = std::clamp<int64_t>(end - j, 0, kPanel);
          return Splitter(panel_at(j), from(own, j, number), rows, numbers);
        };
        const int64_t times = panels_of(count) * kPieceProducts;
        const int64_t share = (2 * kTile + times - 1) / times;
        splitter(begin).finish();
        for (int64_t j = begin; j < end; j += kPanel) {
          const int64_t rows = std::min<int64_t>(kPanel, end - j);
          Splitter next = splitter(j + kPanel);
          for (int64_t i = 0; i < count; i += kPanel) {
            const int64_t part = std::min<int64_t>(kPanel, count - i);
            const uint32_t* other = in_shared + i / kPanel * panel_words;
            const uint32_t* x = own_is_x ? panel_at(j) : other;
            const uint32_t* y = own_is_x ? other : panel_at(j);
            const int64_t x_rows = own_is_x ? rows : part, y_rows = own_is_x ? part : rows;
            const int64_t row = a_shared ? first + i : j, column = a_shared ? j : first + i;
            float* c = p.c + row * p.ldc + column;
            const bool direct =
                !turned && !accumulate && x_rows % kTile == 0 && y_rows % kTile == 0;
            alignas(64) float product[kPanel * kPanel];
            panels_multiplier(x_rows > kTile, y_rows > kTile)(
                direct ? c : product, 4 * (direct ? p.ldc : kPanel), x, y, steps_of(numbers),
                turned, next, share);
            if (!direct) store_product(c, p.ldc, product, x_rows, y_rows, turned, accumulate);
          }
          next.finish();
          if (finish && number + numbers == p.k)
            finish(a_shared ? Part{first, count, j, rows} : Part{j, rows, first, count});
        }
        if (!copies) {
#pragma omp barrier
        }
      }
    _tile_release();
  }
}

}  // namespace cpu

#else

namespace cpu {

bool always_split() { return false; }
bool pays_to_split(int64_t, int64_t, int64_t) { return false; }

void multiply_split(const SplitProduct&, const std::function<void(const Part&)>&) {
  throw InternalError("this processor has no matrix unit");
}

}  // namespace cpu
#endif
