// Matrix instructions of one warp: mma.sync, ldmatrix, stmatrix. Fragment layouts: PTX ISA,
// "Matrix fragments for mma.m16n8k16" and "ldmatrix". g = lane / 4, t = lane % 4.
#include <cstring>

#include "bfloat.h"
#include "block.h"
#include "emulator/asynchronous.h"
#include "profile.h"

namespace emulator {

#if defined(__x86_64__)
#define FOR_EACH_PROCESSOR \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define FOR_EACH_PROCESSOR
#endif

FOR_EACH_PROCESSOR
void multiply_add(float* __restrict__ d, const float* __restrict__ a, const float* __restrict__ b,
                  int m, int n) {
  for (int i = 0; i < m; i++)
    for (int k = 0; k < 16; k++) {
      const float x = a[i * 16 + k];
      for (int j = 0; j < n; j++) d[i * n + j] += x * b[k * n + j];
    }
}

namespace {

struct Product {
  float* d;
  const uint32_t *a, *b;
};

// A fixed number of columns lets the compiler keep a row of d in one register.
FOR_EACH_PROCESSOR
void multiply_add_16x8(float* __restrict__ d, const float* __restrict__ a,
                       const float* __restrict__ b) {
  for (int i = 0; i < 16; i++) {
    float row[8];
    for (int j = 0; j < 8; j++) row[j] = d[i * 8 + j];
    for (int k = 0; k < 16; k++)
      for (int j = 0; j < 8; j++) row[j] += a[i * 16 + k] * b[k * 8 + j];
    for (int j = 0; j < 8; j++) d[i * 8 + j] = row[j];
  }
}

void require_whole_warp(uint32_t mask, const char* instruction) {
  if (mask != ~0u) fail("%s needs all 32 lanes of the warp", instruction);
}

void execute_mma(void** operands, uint32_t mask) {
  require_whole_warp(mask, "mma.sync");
  alignas(64) float a[16 * 16], b[16 * 8], d[16 * 8];
  for (int lane = 0; lane < kLanes; lane++) {
    const auto& p = *static_cast<Product*>(operands[lane]);
    const int g = lane / 4, t = lane % 4 * 2;
    for (int r = 0; r < 4; r++) {
      float* to = a + (g + r % 2 * 8) * 16 + t + r / 2 * 8;
      to[0] = low_half(p.a[r]);
      to[1] = high_half(p.a[r]);
      d[(g + r / 2 * 8) * 8 + t + r % 2] = p.d[r];
    }
    for (int r = 0; r < 2; r++) {
      b[(t + r * 8) * 8 + g] = low_half(p.b[r]);
      b[(t + r * 8 + 1) * 8 + g] = high_half(p.b[r]);
    }
  }
  multiply_add_16x8(d, a, b);
  for (int lane = 0; lane < kLanes; lane++) {
    const auto& p = *static_cast<Product*>(operands[lane]);
    const int g = lane / 4, t = lane % 4 * 2;
    for (int r = 0; r < 4; r++) p.d[r] = d[(g + r / 2 * 8) * 8 + t + r % 2];
  }
}

struct Move {
  char* row;
  uint32_t* registers;  // only read by stmatrix
  int matrices;
  bool transposed;
};

// The address that lane 8 * matrix + row gives, checked as an access of that lane.
char* row_of(void** operands, int matrix, int row, bool write) {
  const int lane = matrix * 8 + row;
  char* p = static_cast<Move*>(operands[lane])->row;
  if (reinterpret_cast<uintptr_t>(p) % 16)
    fail("%s: the address of lane %d is not aligned to 16 bytes", write ? "stmatrix" : "ldmatrix",
         lane);
  shared_address(p);
  if (checking) {
    const Fiber& f = current.owner->fibers[(current.fiber->id & ~(kLanes - 1)) + lane];
    check_access(p, 16,
                 {.who = f.id, .clock = f.clock, .write = write, .place = current.fiber->place});
  }
  return p;
}

void profile_rows(void** operands, int matrix, bool write) {
  const void* rows[8];
  for (int r = 0; r < 8; r++) rows[r] = static_cast<Move*>(operands[matrix * 8 + r])->row;
  profile_matrix(rows, write, current.fiber->place);
}

void execute_ldmatrix(void** operands, uint32_t mask) {
  require_whole_warp(mask, "ldmatrix");
  const Move first = *static_cast<Move*>(operands[0]);
  for (int m = 0; m < first.matrices; m++) {
    uint16_t matrix[8][8];
    for (int r = 0; r < 8; r++) std::memcpy(matrix[r], row_of(operands, m, r, false), 16);
    if (profiling) profile_rows(operands, m, false);
    for (int lane = 0; lane < kLanes; lane++) {
      const int g = lane / 4, t = lane % 4 * 2;
      const uint32_t low = first.transposed ? matrix[t][g] : matrix[g][t];
      const uint32_t high = first.transposed ? matrix[t + 1][g] : matrix[g][t + 1];
      static_cast<Move*>(operands[lane])->registers[m] = low | high << 16;
    }
  }
}

void execute_stmatrix(void** operands, uint32_t mask) {
  require_whole_warp(mask, "stmatrix");
  const Move first = *static_cast<Move*>(operands[0]);
  for (int m = 0; m < first.matrices; m++) {
    uint16_t matrix[8][8];
    for (int lane = 0; lane < kLanes; lane++) {
      const int g = lane / 4, t = lane % 4 * 2;
      const uint32_t pair = static_cast<Move*>(operands[lane])->registers[m];
      (first.transposed ? matrix[t][g] : matrix[g][t]) = static_cast<uint16_t>(pair);
      (first.transposed ? matrix[t + 1][g] : matrix[g][t + 1]) = static_cast<uint16_t>(pair >> 16);
    }
    for (int r = 0; r < 8; r++) std::memcpy(row_of(operands, m, r, true), matrix[r], 16);
    if (profiling) profile_rows(operands, m, true);
  }
}

}  // namespace

void mma_16816(float* d, const uint32_t* a, const uint32_t* b) {
  Product operand{d, a, b};
  collective(~0u, execute_mma, &operand, false, __builtin_return_address(0));
}

void ldmatrix(uint32_t* registers, int matrices, const void* row, bool transposed) {
  Move operand{static_cast<char*>(const_cast<void*>(row)), registers, matrices, transposed};
  collective(~0u, execute_ldmatrix, &operand, false, __builtin_return_address(0));
}

void stmatrix(void* row, const uint32_t* registers, int matrices, bool transposed) {
  if (settings().capability < 90) fail("stmatrix needs compute capability 9.0");
  Move operand{static_cast<char*>(row), const_cast<uint32_t*>(registers), matrices, transposed};
  collective(~0u, execute_stmatrix, &operand, false, __builtin_return_address(0));
}

}  // namespace emulator
