// Layout facts, one instruction at a time: what im2col loads, where wgmma finds its operands. The
// expected places are written out here by CuTe's canonical layouts, not by the emulator's formulas.
#include <cudaTypedefs.h>

#include <cstring>

#include "../../../cuda/device/ptx.cuh"
#include "harness.h"

namespace {

using cuda::bf16;
using harness::Buffer;

struct Box {
  int channel, w, h, n, offset_w, offset_h;
};

__global__ void im2col(const __grid_constant__ ptx::TensorMap map, float* out, int size, Box box) {
  float* tile = cuda::dynamic_shared<float>();
  SHARED(uint64_t, barrier, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(barrier, 1);
    ptx::mbarrier_init_fence();
    ptx::mbarrier_arrive_expect_tx(barrier, size * 4);
    ptx::tma_load_im2col_4d(tile, map, barrier, box.channel, box.w, box.h, box.n,
                            static_cast<uint16_t>(box.offset_w),
                            static_cast<uint16_t>(box.offset_h));
  }
  __syncthreads();
  ptx::mbarrier_wait(barrier, 0);
  for (int i = threadIdx.x; i < size; i += blockDim.x) out[i] = tile[i];
}

// Pixels of 4 x 4 images hold 1, 2, 3...; 0 stands for padding.
std::string run_im2col(int images, int lower, int upper, Box box, std::vector<double> want) {
  constexpr int channels = 32, pixels = 16;
  Buffer<float> x(images * 16 * channels), out(pixels * channels);
  for (size_t i = 0; i < x.host.size(); i++) x.host[i] = static_cast<float>(i / channels + 1);
  x.upload();
  CUtensorMap map;
  const cuuint64_t sizes[] = {channels, 4, 4, static_cast<cuuint64_t>(images)};
  const cuuint64_t strides[] = {128, 512, 2048};
  const cuuint32_t ones[] = {1, 1, 1, 1};
  const int low[] = {lower, lower}, high[] = {upper, upper};
  if (cuTensorMapEncodeIm2col(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4, x.device(), sizes, strides,
                              low, high, channels, pixels, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
                              CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                              CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE))
    return "the tensor map was refused";
  const auto error = harness::launch(im2col, 1, 64, pixels * channels * 4, map, out.device(),
                                     pixels * channels, box);
  if (!error.empty()) return error;
  out.download();
  std::vector<float> first(pixels);
  for (int p = 0; p < pixels; p++) first[p] = out.host[p * channels];
  return harness::compare(first, want, 0);
}

struct Strides {
  int leading, stride;
};

template <int n, bool a_major, bool b_major>
__global__ void multiply(const uint4* a, const uint4* b, float* out, Strides sa, Strides sb,
                         int swizzle) {
  constexpr int chunks = 2048;
  uint4* tile = cuda::dynamic_shared<uint4>();
  for (int i = threadIdx.x; i < chunks; i += 128) {
    tile[i] = a[i];
    tile[chunks + i] = b[i];
  }
  ptx::fence_proxy_async();
  __syncthreads();
  float d[n / 2];
  for (float& v : d) v = 0;
  const auto mode = static_cast<ptx::Swizzle>(swizzle);
  ptx::wgmma_fence();
  ptx::wgmma_ss<a_major, b_major>(
      d, ptx::matrix_descriptor(tile, sa.leading, sa.stride, mode),
      ptx::matrix_descriptor(tile + chunks, sb.leading, sb.stride, mode), true);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int i = 0; i < n / 2; i++)
    out[(warp * 16 + lane / 4 + i / 2 % 2 * 8) * n + i / 4 * 8 + lane % 4 * 2 + i % 2] = d[i];
}

// Byte offset of (mn, k) in an operand of `size` x 16; span: bytes of the swizzle, 16 for none.
int place(int mn, int k, int size, bool mn_major, int span) {
  const int width = span / 2, atom = 8 * span;
  int at;
  if (span == 16)
    at = k / 8 * (size / 8) * 128 + mn / 8 * 128 +
         (mn_major ? k % 8 * 16 + mn % 8 * 2 : mn % 8 * 16 + k % 8 * 2);
  else if (mn_major)
    at = mn / width * 2 * atom + k / 8 * atom + k % 8 * span + mn % width * 2;
  else
    at = mn / 8 * atom + mn % 8 * span + k * 2;
  return at ^ ((at >> 7) & (span / 16 - 1)) << 4;
}

Strides strides(int size, bool mn_major, int span) {
  if (span == 16) return {size / 8 * 128, 128};
  return {mn_major ? 16 * span : 16, 8 * span};
}

template <int n, bool a_major, bool b_major>
std::string run_multiply(int span) {
  constexpr int bytes = 32768;
  Buffer<uint16_t> a(bytes / 2), b(bytes / 2);
  Buffer<float> out(64 * n);
  std::vector<float> va(64 * 16), vb(n * 16);
  const auto fill = [&](Buffer<uint16_t>& to, std::vector<float>& values, int size, bool major) {
    std::fill(to.host.begin(), to.host.end(), 0x7fff);
    for (int mn = 0; mn < size; mn++)
      for (int k = 0; k < 16; k++) {
        const bf16 v = harness::random_value();
        values[mn * 16 + k] = v;
        to.host[place(mn, k, size, major, span) / 2] = v.__x;
      }
    to.upload();
  };
  fill(a, va, 64, a_major);
  fill(b, vb, n, b_major);
  const int swizzle = span == 16 ? 0 : span == 128 ? 1 : span == 64 ? 2 : 3;
  const auto error = harness::launch(
      multiply<n, a_major, b_major>, 1, 128, 2 * bytes, reinterpret_cast<const uint4*>(a.device()),
      reinterpret_cast<const uint4*>(b.device()), out.device(), strides(64, a_major, span),
      strides(n, b_major, span), swizzle);
  if (!error.empty()) return error;
  out.download();
  return harness::compare(out.host, harness::multiply(va, vb, 64, n, 16, true), 1e-5);
}

std::string refused_maps() {
  Buffer<bf16> x(4096);
  const auto encode = [&](int offset, cuuint64_t stride, cuuint32_t inner, cuuint32_t outer,
                          CUtensorMapSwizzle swizzle) {
    CUtensorMap map;
    const cuuint64_t sizes[] = {64, 64};
    const cuuint32_t box[] = {inner, outer}, ones[] = {1, 1};
    return cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, x.device() + offset,
                                  sizes, &stride, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                                  CU_TENSOR_MAP_L2_PROMOTION_NONE,
                                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
  };
  constexpr auto none = CU_TENSOR_MAP_SWIZZLE_NONE, b64 = CU_TENSOR_MAP_SWIZZLE_64B;
  if (!encode(0, 128, 32, 64, b64)) return "a valid map was refused";
  if (encode(1, 128, 32, 64, b64)) return "an address that is not a multiple of 16";
  if (encode(0, 120, 32, 64, b64)) return "a stride that is not a multiple of 16";
  if (encode(0, 128, 64, 64, b64)) return "a box wider than the swizzle's span";
  if (encode(0, 128, 4, 64, none)) return "a box of 8 inner bytes";
  if (encode(0, 128, 32, 257, none)) return "a box of 257 rows";
  return "";
}

}  // namespace

int main() {
  using harness::correct;
  const std::vector<double> all{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  correct("im2col", [&] { return run_im2col(1, 0, 0, {}, all); });
  correct("im2col padded", [] {
    return run_im2col(1, -1, -1, {0, -1, -1, 0, 0, 0},
                      {0, 0, 0, 0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11});
  });
  correct("im2col at a tap", [&] { return run_im2col(1, -1, -1, {0, -1, -1, 0, 1, 1}, all); });
  correct("im2col over two images", [] {
    return run_im2col(2, 0, 0, {0, 3, 1, 0, 0, 0},
                      {8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23});
  });
  correct("im2col over two padded images", [] {
    return run_im2col(2, -1, -1, {0, 2, 1, 0, 0, 0},
                      {7, 0, 9, 10, 11, 0, 0, 0, 0, 0, 17, 18, 19, 0, 21, 22});
  });
  for (const int span : {16, 32, 64, 128}) {
    const std::string name = "wgmma with a swizzle of " + std::to_string(span) + " bytes: ";
    correct((name + "K-major").c_str(), [=] { return run_multiply<64, false, false>(span); });
    correct((name + "b N-major").c_str(), [=] { return run_multiply<128, false, true>(span); });
    correct((name + "a M-major").c_str(), [=] { return run_multiply<256, true, false>(span); });
    if (span <= 64)
      correct((name + "both").c_str(), [=] { return run_multiply<32, true, true>(span); });
    correct((name + "n = 8").c_str(), [=] { return run_multiply<8, false, false>(span); });
  }
  correct("tensor maps", refused_maps);
  return harness::result();
}
