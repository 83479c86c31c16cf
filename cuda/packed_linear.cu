// A linear layer for the few rows of a step of decoding. gemm/ needs no other order of the weight.
#include "../binding/device.h"
#include "../binding/errors.h"
#include "../binding/tensor.h"

namespace cuda {
#include "../binding/kernels.h"

void pack_linear(Tensor, Tensor, Stream&) {
  throw InternalError("pack_linear: weights are packed on the CPU only");
}

void packed_linear(Tensor out, Tensor x, Tensor, Tensor weight, Tensor bias, Stream& stream) {
  linear(out, Tensor(), x, weight, bias, Tensor(), 0, stream);
}

}  // namespace cuda
