// Products with few rows: latency decides, not throughput. The warps of a block share the inner
// axis, read fragments straight from global memory, all at once, and add up their sums in shared
// memory: no ring to fill, no second kernel. Bound by reading the weight once.
#include "../device/ptx.cuh"
#include "../runtime/launch.h"
#include "loaders.cuh"
#include "thin_product.h"

namespace cuda {

namespace {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;
constexpr int kColumns8 = 2;  // of a block, in eights
constexpr int kColumns = 8 * kColumns8;

// Eight neighbouring elements, or zeros.
DEVICE uint4 read_eight(const bf16* row, int k, int depth) {
  if (row == nullptr || k >= depth) return make_uint4(0, 0, 0, 0);
  return *reinterpret_cast<const uint4*>(row + k);
}

// Lane (g, t) reads elements 8 t .. 8 t + 7 of 32 in row g and gives two of them to each half of
// the fragments of two steps. That permutes the inner axis, for both operands alike.
template <int kRows16>
__global__ void __launch_bounds__(kThreads)
    thin_product_kernel(KMajorMatrix<bf16> a, KMajorMatrix<bf16> b, Finish f) {
  const int n = blockIdx.x * kColumns;
  const int g = lane_id() / 4, t = lane_id() % 4;
  const bf16* rows_a[kRows16][2];
  const bf16* rows_b[kColumns8];
#pragma unroll
  for (int i = 0; i < kRows16; i++) {
    rows_a[i][0] = a.fix(16 * i + g);
    rows_a[i][1] = a.fix(16 * i + g + 8);
  }
#pragma unroll
  for (int j = 0; j < kColumns8; j++) rows_b[j] = b.fix(n + 8 * j + g);

  float sums[kRows16][kColumns8][4] = {};
#pragma unroll 2
  for (int first = 32 * warp_id(); first < a.depth; first += 32 * kWarps) {
    const int k = first + 8 * t;
    uint4 upper[kRows16], lower[kRows16], columns[kColumns8];
#pragma unroll
    for (int i = 0; i < kRows16; i++) {
      upper[i] = read_eight(rows_a[i][0], k, a.depth);
      lower[i] = read_eight(rows_a[i][1], k, a.depth);
    }
#pragma unroll
    for (int j = 0; j < kColumns8; j++) columns[j] = read_eight(rows_b[j], k, a.depth);
#pragma unroll
    for (int i = 0; i < kRows16; i++) {
      const uint32_t even[4] = {upper[i].x, lower[i].x, upper[i].y, lower[i].y};
      const uint32_t odd[4] = {upper[i].z, lower[i].z, upper[i].w, lower[i].w};
#pragma unroll
      for (int j = 0; j < kColumns8; j++) {
        ptx::mma_16816(sums[i][j], even, columns[j].x, columns[j].y);
        ptx::mma_16816(sums[i][j], odd, columns[j].z, columns[j].w);
      }
    }
  }

  SHARED(float, strips, [kWarps * kRows16 * kStripFloats<kColumns8>]);
#pragma unroll
  for (int i = 0; i < kRows16; i++)
    write_strip(strips + (warp_id() * kRows16 + i) * kStripFloats<kColumns8>, sums[i]);
  __syncthreads();
  constexpr int quads = kColumns / 4;
#pragma unroll 1
  for (int i = threadIdx.x; i < 16 * kRows16 * quads; i += kThreads) {
    const int row = i / quads, column = i % quads * 4;
    float sum[4] = {};
#pragma unroll
    for (int warp = 0; warp < kWarps; warp++) {
      float x[4];
      load(x, strips + (warp * kRows16 + row / 16) * kStripFloats<kColumns8> +
                  row % 16 * kStripPitch<kColumns8> + column);
#pragma unroll
      for (int c = 0; c < 4; c++) sum[c] += x[c];
    }
    finish(f, row, n + column, sum);
  }
}

template <int kRows16>
void launch_thin(const KMajorMatrix<bf16>& a, const KMajorMatrix<bf16>& b, const Finish& f,
                 Stream& stream) {
  launch(thin_product_kernel<kRows16>, dim3(static_cast<unsigned>(ceil_div(f.n, kColumns))),
         kThreads, 0, stream, a, b, f);
}

}  // namespace

// -------------------------------------------------------------------------------------------------

bool thin_product(const Operand& a, const Operand& b, int k, const Finish& f, Stream& stream) {
  // Each block reads all rows of a: with many rows and columns tiles read less.
  const bool few = f.m <= 16 || (f.m <= 64 && int64_t{f.m} * f.n <= 1 << 16);
  const auto fits = [](const Operand& operand) {
    return reinterpret_cast<uintptr_t>(operand.data) % 16 == 0 && operand.stride % 8 == 0;
  };
  if (!few || f.with.statistics || k % 8 != 0 || !fits(a) || !fits(b)) return false;
  const KMajorMatrix<bf16> left{static_cast<const bf16*>(a.data), a.stride, f.m, k};
  const KMajorMatrix<bf16> right{static_cast<const bf16*>(b.data), b.stride, f.n, k};
  if (f.m <= 16) {
    launch_thin<1>(left, right, f, stream);
  } else if (f.m <= 32) {
    launch_thin<2>(left, right, f, stream);
  } else {
    launch_thin<4>(left, right, f, stream);
  }
  return true;
}

}  // namespace cuda
