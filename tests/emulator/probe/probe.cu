// Facts about the hardware that kernels and emulator both rest on: how TMA lays out boxes, which
// elements wgmma, mma, ldmatrix and stmatrix read and write. The program runs on a GPU and on the
// emulator and prints one line a fact; the two outputs must be equal. Every number is a small whole
// one, so that sums are exact in any order. With names as arguments all words of those are printed.
//
// For a GPU, from the project's root:
//   nvcc -std=c++20 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90a,code=sm_90a
//     -I. -Icuda -o probe tests/emulator/probe/probe.cu cuda/runtime/{tensor_map,check,gpu}.cpp
// For the emulator: this file and those compiled with g++ as CMakeLists.txt does for kernels and
// runtime (CAPTIONEER_EMULATED), linked with tests/emulator/machine and runtime.
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "device/vector.cuh"
#include "device/wgmma.cuh"
#include "runtime/launch.h"
#include "runtime/tensor_map.h"

namespace {

using namespace cuda;

// -3 .. 3, without a pattern that a wrong layout could keep.
DEVICE float small_number(uint32_t i) {
  uint32_t x = i * 0x9E3779B9u;
  x = (x ^ (x >> 15)) * 0x85EBCA6Bu;
  return static_cast<float>((x >> 16) % 7) - 3.0f;
}
DEVICE uint32_t small_pair(uint32_t i) {
  return pack_bf16(small_number(2 * i), small_number(2 * i + 1));
}

// --- tensor cores, sm_80

__global__ void mma_probe(uint32_t* out) {
  uint32_t a[4], b[2];
  float d[4];
  for (int i = 0; i < 4; i++) a[i] = small_pair(lane_id() * 4 + i);
  for (int i = 0; i < 2; i++) b[i] = small_pair(1000 + lane_id() * 2 + i);
  for (int i = 0; i < 4; i++) d[i] = small_number(4000 + lane_id() * 4 + i);
  ptx::mma_16816(d, a, b[0], b[1]);
  for (int i = 0; i < 4; i++) memcpy(out + lane_id() * 4 + i, d + i, 4);
}

template <bool transposed>
__global__ void ldmatrix_probe(uint32_t* out) {
  uint32_t* const shared = dynamic_shared<uint32_t>();
  for (int i = lane_id(); i < 256; i += 32) shared[i] = i * 2 | (i * 2 + 1) << 16;
  __syncwarp();
  uint32_t four[4], two[2];
  // Rows in an order of their own, so that a wrong lane's address shows.
  ptx::ldmatrix_x4<transposed>(four, shared + (lane_id() * 5 % 32) * 4);
  ptx::ldmatrix_x2<transposed>(two, shared + (lane_id() * 11 % 32) * 4);
  for (int i = 0; i < 4; i++) out[lane_id() * 6 + i] = four[i];
  for (int i = 0; i < 2; i++) out[lane_id() * 6 + 4 + i] = two[i];
}

#ifdef CAPTIONEER_HOPPER
// --- sm_90. In the sm_80 pass these kernels are empty, and on such a GPU not launched.

// Runs `issue` by one thread and waits for the bytes it brings.
template <class Issue>
DEVICE void load_box(uint32_t* out, int words, Issue issue) {
  uint32_t* const box = dynamic_shared<uint32_t>();
  uint64_t* const barrier = reinterpret_cast<uint64_t*>(box + words);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(barrier, 1);
    ptx::mbarrier_init_fence();
    ptx::mbarrier_arrive_expect_tx(barrier, words * 4);
    issue(box, barrier);
  }
  __syncthreads();
  ptx::mbarrier_wait(barrier, 0);
  for (int i = threadIdx.x; i < words; i += blockDim.x) out[i] = box[i];
}
#endif

__global__ void tiled_probe(uint32_t* out, const __grid_constant__ ptx::TensorMap map, int words,
                            int c0, int c1) {
#ifdef CAPTIONEER_HOPPER
  load_box(out, words,
           [&](uint32_t* box, uint64_t* barrier) { ptx::tma_load_2d(box, map, barrier, c0, c1); });
#endif
}

__global__ void im2col_probe(uint32_t* out, const __grid_constant__ ptx::TensorMap map, int words,
                             int c, int w, int h, int n, int offset_w, int offset_h) {
#ifdef CAPTIONEER_HOPPER
  load_box(out, words, [&](uint32_t* box, uint64_t* barrier) {
    ptx::tma_load_im2col_4d(box, map, barrier, c, w, h, n, static_cast<uint16_t>(offset_w),
                            static_cast<uint16_t>(offset_h));
  });
#endif
}

__global__ void store_probe(const __grid_constant__ ptx::TensorMap map, int words, int c0, int c1) {
#ifdef CAPTIONEER_HOPPER
  uint32_t* const box = dynamic_shared<uint32_t>();
  for (int i = threadIdx.x; i < words; i += blockDim.x) box[i] = i | i << 16;
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::tma_store_2d(map, box, c0, c1);
    ptx::bulk_commit();
    ptx::bulk_wait<0>();
  }
#endif
}

template <bool transposed>
__global__ void stmatrix_probe(uint32_t* out) {
#ifdef CAPTIONEER_HOPPER
  uint32_t* const shared = dynamic_shared<uint32_t>();
  uint32_t four[4];
  for (int i = 0; i < 4; i++)
    four[i] = (lane_id() * 4 + i) * 2 | ((lane_id() * 4 + i) * 2 + 1) << 16;
  ptx::stmatrix_x4<transposed>(shared + (lane_id() * 5 % 32) * 4, four);
  __syncwarp();
  for (int i = lane_id(); i < 128; i += 32) out[i] = shared[i];
#endif
}

// Where an operand's atoms lie, as its descriptor says.
struct Layout {
  int start, leading, stride;  // bytes
};
constexpr int kOperandBytes = 64 * 1024;

template <int N, bool a_mn_major, bool b_mn_major, bool a_in_registers>
__global__ void __launch_bounds__(128, 1)
    wgmma_probe(uint32_t* out, Layout a, Layout b, int swizzle) {
#ifdef CAPTIONEER_HOPPER
  unsigned char* const shared = dynamic_shared<unsigned char>();
  uint32_t* const words = reinterpret_cast<uint32_t*>(shared);
  for (int i = threadIdx.x; i < 2 * kOperandBytes / 4; i += 128) words[i] = small_pair(i);
  ptx::fence_proxy_async();
  __syncthreads();
  float d[N / 2];
#pragma unroll
  for (int i = 0; i < N / 2; i++) d[i] = small_number(threadIdx.x * (N / 2) + i);
  const auto mode = static_cast<ptx::Swizzle>(swizzle);
  const uint64_t of_b =
      ptx::matrix_descriptor(shared + kOperandBytes + b.start, b.leading, b.stride, mode);
  ptx::wgmma_operand_fence(d);
  ptx::wgmma_fence();
  if constexpr (a_in_registers) {
    uint32_t fragments[4];
    for (int i = 0; i < 4; i++) fragments[i] = small_pair(90000 + threadIdx.x * 4 + i);
    ptx::wgmma_rs<b_mn_major>(d, fragments, of_b, 1);
  } else {
    ptx::wgmma_ss<a_mn_major, b_mn_major>(
        d, ptx::matrix_descriptor(shared + a.start, a.leading, a.stride, mode), of_b, 1);
  }
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  ptx::wgmma_operand_fence(d);
#pragma unroll
  for (int i = 0; i < N / 2; i++) memcpy(out + threadIdx.x * (N / 2) + i, d + i, 4);
#endif
}

// -------------------------------------------------------------------------------------------------

class Probes {
 public:
  Probes(std::vector<std::string> names) : in_full_(std::move(names)) { stream_.open(0); }
  ~Probes() {
    for (void* memory : memory_) cudaFree(memory);
  }
  Stream& stream() { return stream_; }
  bool hopper() const { return stream_.hopper(); }

  uint32_t* allocate(int words) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, static_cast<size_t>(words) * 4), "allocating");
    memory_.push_back(memory);
    check(cudaMemset(memory, 0, static_cast<size_t>(words) * 4), "clearing");
    return static_cast<uint32_t*>(memory);
  }
  // Half-words 0, 1, 2, ...
  uint32_t* counting(int words) {
    std::vector<uint32_t> numbers;
    for (uint32_t i = 0; i < static_cast<uint32_t>(words); i++)
      numbers.push_back(2 * i | (2 * i + 1) << 16);
    uint32_t* const memory = allocate(words);
    check(cudaMemcpy(memory, numbers.data(), numbers.size() * 4, cudaMemcpyHostToDevice),
          "filling");
    return memory;
  }

  // Prints what `words` hold once the stream's work is done.
  void print(const std::string& name, const uint32_t* words, int count) {
    check(cudaStreamSynchronize(stream_.handle()), name.c_str());
    std::vector<uint32_t> host(static_cast<size_t>(count));
    check(cudaMemcpy(host.data(), words, host.size() * 4, cudaMemcpyDeviceToHost), "reading");
    uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a with one more shift
    for (const uint32_t word : host) {
      hash = (hash ^ word) * 0x100000001b3u;
      hash ^= hash >> 29;
    }
    bool full = false;
    for (const std::string& wanted : in_full_) full = full || wanted == name;
    std::printf("{\"name\":\"%s\",\"words\":%d,\"hash\":\"%016llx\",\"%s\":[", name.c_str(), count,
                static_cast<unsigned long long>(hash), full ? "all" : "first");
    for (int i = 0; i < (full ? count : std::min(count, 12)); i++)
      std::printf("%s\"%08x\"", i == 0 ? "" : ",", host[static_cast<size_t>(i)]);
    std::printf("]}\n");
  }
  void run(const std::string& name, int count, const std::function<void(uint32_t*)>& body) {
    uint32_t* const out = allocate(count);
    body(out);
    print(name, out, count);
  }

 private:
  GpuStream stream_;
  std::vector<void*> memory_;
  std::vector<std::string> in_full_;
};

void probe_fragments(Probes& probes) {
  const auto run = [&](const char* name, auto kernel, int words) {
    probes.run(name, words, [&](uint32_t* out) {
      launch(kernel, dim3(1), dim3(32), 1024, probes.stream(), out);
    });
  };
  run("mma", mma_probe, 128);
  run("ldmatrix", ldmatrix_probe<false>, 192);
  run("ldmatrix transposed", ldmatrix_probe<true>, 192);
  if (!probes.hopper()) return;
  run("stmatrix", stmatrix_probe<false>, 128);
  run("stmatrix transposed", stmatrix_probe<true>, 128);
}

struct SwizzleCase {
  const char* name;
  CUtensorMapSwizzle tma;
  int bytes;
  int wgmma;  // ptx::Swizzle
};
constexpr SwizzleCase kSwizzles[] = {{"128", CU_TENSOR_MAP_SWIZZLE_128B, 128, 1},
                                     {"64", CU_TENSOR_MAP_SWIZZLE_64B, 64, 2},
                                     {"32", CU_TENSOR_MAP_SWIZZLE_32B, 32, 3}};

// Boxes of 20 rows inside a [50, 72] tensor and over each of its edges.
void probe_tiled(Probes& probes) {
  const uint32_t* tensor = probes.counting(50 * 72 / 2);
  for (const SwizzleCase& swizzle : kSwizzles) {
    const int columns = swizzle.bytes / 2, words = columns * 20 / 2;
    const CUtensorMap map = tiled_map(tensor, {72, 50}, {72}, {columns, 20}, swizzle.tma);
    const int corners[][2] = {{0, 0}, {8, 5}, {64, 40}, {-8, -3}};
    for (const auto& corner : corners) {
      const std::string name = std::string("tiled ") + swizzle.name + " at " +
                               std::to_string(corner[0]) + " " + std::to_string(corner[1]);
      probes.run(name, words, [&](uint32_t* out) {
        launch(tiled_probe, dim3(1), dim3(32), words * 4 + 16, probes.stream(), out, map, words,
               corner[0], corner[1]);
      });
    }
  }
  uint32_t* const to = probes.allocate(50 * 72 / 2);
  const CUtensorMap map = tiled_map(to, {72, 50}, {72}, {64, 20});
  launch(store_probe, dim3(1), dim3(32), 64 * 20 * 2, probes.stream(), map, 64 * 20 / 2, 16, 40);
  probes.print("tiled store", to, 50 * 72 / 2);
}

struct Im2colCase {
  const char* name;
  PixelGrid grid;
  int position_h, position_w, image;  // where the box begins
  int offset_h, offset_w;
};

// Boxes of 48 pixels over images [3, 6, 9, 72]: the second chunk of channels is partly outside, and
// later boxes run beyond the last image.
void probe_im2col(Probes& probes) {
  constexpr int batch = 3, height = 6, width = 9, channels = 72, pixels = 48;
  constexpr int words = pixels * 64 / 2;
  const uint32_t* images = probes.counting(batch * height * width * channels / 2);
  const Im2colCase cases[] = {
      {"plain", {0, 0, 1, 6, 9}, 0, 0, 0, 0, 0},
      {"from the middle", {0, 0, 1, 6, 9}, 4, 5, 1, 0, 0},
      {"beyond the batch", {0, 0, 1, 6, 9}, 4, 5, 2, 0, 0},
      {"3 x 3, padding 1, first tap", {-1, -1, 1, 6, 9}, 1, 2, 0, 0, 0},
      {"3 x 3, padding 1, last tap", {-1, -1, 1, 6, 9}, 1, 2, 0, 2, 2},
      {"uneven corners", {-1, -2, 1, 5, 10}, 0, 3, 0, 1, 2},
      {"few positions", {1, 2, 1, 2, 3}, 0, 0, 0, 0, 1},
      {"more positions than pixels", {-3, -1, 1, 10, 12}, 2, 3, 0, 2, 1},
      {"stride 2", {-1, -1, 2, 3, 5}, 0, 0, 0, 1, 2},
      {"stride 2, uneven corners", {-2, -1, 2, 4, 4}, 1, 1, 1, 3, 0},
      {"stride 2, from inside", {1, 0, 2, 2, 4}, 0, 1, 0, 1, 1},
      {"dilation 2", {-2, -2, 1, 6, 9}, 0, 0, 1, 4, 2},
      {"stride 3", {-1, 0, 3, 2, 3}, 0, 0, 0, 1, 0},
  };
  for (const Im2colCase& each : cases) {
    for (int channel = 0; channel < channels; channel += 64) {
      const PixelGrid& grid = each.grid;
      const CUtensorMap map =
          im2col_map(images, batch, height, width, channels, channels, grid, pixels);
      const std::string name =
          std::string("im2col ") + each.name + ", channel " + std::to_string(channel);
      probes.run(name, words, [&](uint32_t* out) {
        launch(im2col_probe, dim3(1), dim3(32), words * 4 + 16, probes.stream(), out, map, words,
               channel, grid.left + each.position_w * grid.stride,
               grid.top + each.position_h * grid.stride, each.image, each.offset_w, each.offset_h);
      });
    }
  }
}

// An operand of `rows` rows as TMA's boxes leave it: K-major, one box of `bytes` a row; or boxes of
// as many of M or N, 64 deep. `step`: which 16 along K.
Layout operand_layout(bool mn_major, int bytes, int step) {
  if (!mn_major) return {step * 32, 16, 8 * bytes};
  return {step * 16 * bytes, 64 * bytes, 8 * bytes};
}

template <int N, bool a_mn_major, bool b_mn_major, bool a_in_registers = false>
void probe_wgmma(Probes& probes) {
  for (const SwizzleCase& swizzle : kSwizzles) {
    for (int step = 0; step < 2; step++) {
      // A row of 32 bytes is one step long.
      if (step == 1 && swizzle.bytes == 32 && !(a_mn_major && b_mn_major)) continue;
      const std::string name = std::string("wgmma ") + std::to_string(N) + ", a " +
                               (a_in_registers ? "in registers"
                                : a_mn_major   ? "m-major"
                                               : "k-major") +
                               ", b " + (b_mn_major ? "n-major" : "k-major") + ", swizzle " +
                               swizzle.name + ", step " + std::to_string(step);
      probes.run(name, 128 * N / 2, [&](uint32_t* out) {
        launch(wgmma_probe<N, a_mn_major, b_mn_major, a_in_registers>, dim3(1), dim3(128),
               2 * kOperandBytes, probes.stream(), out,
               operand_layout(a_mn_major, swizzle.bytes, step),
               operand_layout(b_mn_major, swizzle.bytes, step), swizzle.wgmma);
      });
    }
  }
}

void probe(Probes& probes) {
  probe_fragments(probes);
  if (!probes.hopper()) return;
  probe_tiled(probes);
  probe_im2col(probes);
  probe_wgmma<64, false, false>(probes);
  probe_wgmma<64, false, true>(probes);
  probe_wgmma<64, true, false>(probes);
  probe_wgmma<64, true, true>(probes);
  probe_wgmma<8, false, false>(probes);
  probe_wgmma<32, false, true>(probes);
  probe_wgmma<96, true, true>(probes);
  probe_wgmma<192, false, true>(probes);
  probe_wgmma<256, false, false>(probes);
  probe_wgmma<256, true, true>(probes);
  probe_wgmma<64, false, false, true>(probes);
  probe_wgmma<128, false, true, true>(probes);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    Probes probes({arguments + 1, arguments + count});
    probe(probes);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "probe: %s\n", error.what());
    return 1;
  }
  return 0;
}
