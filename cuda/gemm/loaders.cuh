// Where the elements of a product's operands lie. A loader maps (mn, k), a row of A or a column of
// B and a place on the inner axis, to an address, in two halves: of the coordinate that a thread
// keeps through the whole product (fix) and of the one that moves with the tiles (move). Plain
// matrices are here, convolutions in im2col.cuh; moving the elements is the pipeline's.
#pragma once
#include "../device/device.cuh"

namespace cuda {

// Division by a number that is known before the kernel runs; for dividends below 2^31. (Granlund
// and Montgomery 1994.)
struct FastDivisor {
  int divisor;
  uint32_t multiplier;
  int shift;

  FastDivisor() = default;
  __host__ __device__ explicit FastDivisor(int by) : divisor(by), shift(0) {
    while ((int64_t{1} << shift) < by) shift++;
    multiplier = static_cast<uint32_t>(
        (uint64_t{1} << 32) * ((uint64_t{1} << shift) - static_cast<uint64_t>(by)) / by + 1);
  }
  DEVICE int quotient(int x) const {
    const uint32_t n = static_cast<uint32_t>(x);
    return static_cast<int>((__umulhi(n, multiplier) + n) >> shift);
  }
};

// Rows of mn with k contiguous.
template <class T>
struct KMajorMatrix {
  using Element = T;
  using Fixed = const T*;
  using Moving = int;
  static constexpr bool k_major = true;

  const T* data;
  int64_t stride;
  int size, depth;  // mn and k end here: zeros beyond

  DEVICE Fixed fix(int mn) const { return mn < size ? data + mn * stride : nullptr; }
  DEVICE Moving move(int k) const { return k < depth ? k : -1; }
  // A legal address even if not valid.
  DEVICE const T* address(Fixed row, Moving k, bool& valid) const {
    valid = row != nullptr && k >= 0;
    return valid ? row + k : data;
  }
};

// Rows of k with mn contiguous.
template <class T>
struct MnMajorMatrix {
  using Element = T;
  using Fixed = int;
  using Moving = const T*;
  static constexpr bool k_major = false;

  const T* data;
  int64_t stride;
  int size, depth;

  DEVICE Fixed fix(int mn) const { return mn < size ? mn : -1; }
  DEVICE Moving move(int k) const { return k < depth ? data + k * stride : nullptr; }
  DEVICE const T* address(Fixed mn, Moving row, bool& valid) const {
    valid = row != nullptr && mn >= 0;
    return valid ? row + mn : data;
  }
};

// One thread's share in moving kSize x kDepth tiles of an operand to shared memory: chunks of
// kChunk elements along the contiguous axis, each in pieces of kGranule elements, which begin and
// end together with what lies in memory.
template <class Loader, int kSize, int kDepth, int kChunk, int kGranule, int kThreads>
class Chunks {
 public:
  static constexpr int kAcross = (Loader::k_major ? kDepth : kSize) / kChunk;
  static constexpr int kLines = Loader::k_major ? kSize : kDepth;
  static constexpr int kStep = kThreads / kAcross;
  static constexpr int kCount = kLines / kStep;
  static constexpr int kPieces = kChunk / kGranule;
  static_assert(kThreads % kAcross == 0 && kLines % kStep == 0);

  // mn: where the tile begins.
  DEVICE Chunks(const Loader& loader, int mn)
      : line_(threadIdx.x / kAcross), place_(threadIdx.x % kAcross * kChunk) {
#pragma unroll
    for (int i = 0; i < kFixed; i++)
      fixed_[i] = loader.fix(Loader::k_major ? mn + line_ + i * kStep : mn + place_ + i * kGranule);
  }

  // body(i, mn, k, piece, address, valid): chunk i of the thread begins at (mn, k) of the tile.
  // k: where the tile begins.
  template <class Body>
  DEVICE void each(const Loader& loader, int k, Body body) const {
    bool valid;
    if constexpr (Loader::k_major) {
#pragma unroll
      for (int piece = 0; piece < kPieces; piece++) {
        const auto moving = loader.move(k + place_ + piece * kGranule);
#pragma unroll
        for (int i = 0; i < kCount; i++) {
          const auto* p = loader.address(fixed_[i], moving, valid);
          body(i, line_ + i * kStep, place_, piece, p, valid);
        }
      }
    } else {
#pragma unroll
      for (int i = 0; i < kCount; i++) {
        const auto moving = loader.move(k + line_ + i * kStep);
#pragma unroll
        for (int piece = 0; piece < kPieces; piece++) {
          const auto* p = loader.address(fixed_[piece], moving, valid);
          body(i, place_, line_ + i * kStep, piece, p, valid);
        }
      }
    }
  }

  // body(i, mn, k): where in the tile chunk i of the thread begins.
  template <class Body>
  DEVICE void places(Body body) const {
#pragma unroll
    for (int i = 0; i < kCount; i++) {
      if constexpr (Loader::k_major) {
        body(i, line_ + i * kStep, place_);
      } else {
        body(i, place_, line_ + i * kStep);
      }
    }
  }

 private:
  static constexpr int kFixed = Loader::k_major ? kCount : kPieces;
  int line_, place_;
  typename Loader::Fixed fixed_[kFixed];
};

}  // namespace cuda
