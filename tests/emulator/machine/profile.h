// The access profile: how a kernel's loads and stores fall on shared-memory banks and on the
// 32-byte sectors of global memory.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emulator {

struct Grid;

extern bool profiling;

// One thread's access by the instruction at `place`.
void profile_access(const void* address, size_t bytes, bool write, const void* place);
// One matrix of ldmatrix or stmatrix: eight rows of 16 bytes.
void profile_matrix(const void* const* rows, bool write, const void* place);
// The block's threads have ended: its accesses are grouped by warp.
void profile_end_block();
// Writes the launch's lines to the file.
void profile_end_launch(const Grid& grid);

}  // namespace emulator
