// Weights that stay as they are until somebody drops them, in the layouts that oneDNN likes: each
// is brought into a layout once instead of at every call. Which are constant, the model says
// (FoldCache in ts/models/mode.ts).
#pragma once
#include <functional>

#include "onednn.h"

namespace cpu {

// The weight known as `constant` in that layout; `write` fills it the first time. On the device's
// thread, as everything of oneDNN.
const void* constant_weight(int constant, const onednn::Desc& layout,
                            const std::function<void(void*)>& write);

}  // namespace cpu
