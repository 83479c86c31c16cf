// Instructions that PTX has and C++ has not: asynchronous copies, mbarriers, TMA, tensor cores.
// ptx_emulated.cuh gives them the names of cuda/device/ptx.cuh.
#pragma once
#include <cstddef>
#include <cstdint>

struct CUtensorMap;

namespace emulator {

// --- cp.async: `bytes` (16, 8, 4), of which the first `source_bytes` are read, the rest zero
void cp_async(void* to, const void* from, int bytes, int source_bytes);
void cp_async_commit();
void cp_async_wait(int pending);
// The calling thread's earlier copies arrive on the barrier when they are done.
void cp_async_mbarrier_arrive(uint64_t* barrier, bool counted);

// --- mbarriers
void mbarrier_init(uint64_t* barrier, uint32_t count);
void mbarrier_expect(uint64_t* barrier, uint32_t bytes);
void mbarrier_arrive(uint64_t* barrier, uint32_t count, uint32_t bytes);
void mbarrier_wait(uint64_t* barrier, uint32_t parity);
void mbarrier_init_fence();
void fence_proxy_async();

// --- TMA; offsets: im2col only, else null
void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int rank, const int* coordinates,
              const uint16_t* offsets);
void tma_store(const CUtensorMap* map, const void* from, int rank, const int* coordinates,
               bool add);
void bulk_commit();
void bulk_wait(int pending, bool read_only);

// --- warp matrix instructions
void mma_16816(float* d, const uint32_t* a, const uint32_t* b);
void ldmatrix(uint32_t* registers, int matrices, const void* row, bool transposed);
void stmatrix(void* row, const uint32_t* registers, int matrices, bool transposed);

// --- wgmma; a: four registers, or null with a descriptor. mn_major: operand stored along M or N
void wgmma_fence();
void wgmma(float* d, int n, const uint32_t* a, uint64_t a_descriptor, uint64_t b_descriptor,
           bool accumulate, bool a_mn_major, bool b_mn_major);
void wgmma_commit();
void wgmma_wait(int pending);

// --- order between blocks
// Release and acquire at device scope.
unsigned atomic_add_acq_rel(unsigned* address, unsigned value);
// Registers per thread must be a multiple of 8 in 24-256.
void set_registers(int registers);

}  // namespace emulator
