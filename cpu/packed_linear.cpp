// A linear layer whose weight is laid out once, for the few rows of a step of decoding. Bound by
// reading the weight.
#include <algorithm>

#include "../binding/device.h"
#include "../binding/errors.h"
#include "../binding/tensor.h"
#include "packed_product.h"

namespace cpu {
#include "../binding/kernels.h"

void pack_linear(Tensor packed, Tensor weight, Stream& stream) {
  const int outputs = weight.shape[0];
  const int inputs = weight.shape[1];
  if (packed_bytes(outputs, inputs) > static_cast<size_t>(packed.bytes()))
    throw InternalError("pack_linear: oneDNN lays out the weight in more room than expected");
  pack(packed.data, weight.f32(), outputs, inputs, inputs, 1,
       stream.scratch(pack_scratch(outputs, inputs, inputs, 1)));
}

void packed_linear(Tensor out, Tensor x, Tensor packed, Tensor weight, Tensor bias,
                   Stream& stream) {
  if (!packed) return linear(out, Tensor(), x, weight, bias, Tensor(), 0, stream);
  const int rows = static_cast<int>(x.rows());
  const int outputs = weight.shape[0];
  const int inputs = weight.shape[1];
  if (bias)
    for (int64_t row = 0; row < rows; row++)
      std::copy_n(bias.f32(), outputs, out.f32() + row * outputs);
  multiply_packed(out.f32(), x.f32(), packed.data, rows, outputs, inputs, static_cast<bool>(bias),
                  stream.scratch(multiply_scratch(rows, outputs, inputs)));
}

}  // namespace cpu
