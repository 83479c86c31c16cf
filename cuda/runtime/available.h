// Whether there is a GPU that this build can use.
#pragma once
#include <string>

namespace cuda {

// Index of the GPU to use: CAPTIONEER_GPU, or 0. CUDA_VISIBLE_DEVICES chooses which are there.
int chosen_device();

// Why device "cuda" cannot be used and what to do about it; empty when it can.
std::string unavailable_reason();

}  // namespace cuda
