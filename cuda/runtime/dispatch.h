// From a tensor's dtype to a template argument.
#pragma once
#include <cuda_bf16.h>

#include "../../binding/errors.h"
#include "../../binding/tensor.h"

namespace cuda {

template <class T>
T* data(Tensor t) {
  return static_cast<T*>(t.data);
}

// Whether every tensor given begins on a 16-byte address; a view need not. Absent ones do.
template <class... Tensors>
bool aligned(Tensors... tensors) {
  return ((reinterpret_cast<uintptr_t>(tensors.data) % 16 == 0) && ...);
}

// Calls body(T{}) with T float or __nv_bfloat16.
template <class Body>
void with_float_type(Tensor t, Body body) {
  switch (t.dtype) {
    case Dtype::float32:
      return body(float{});
    case Dtype::bfloat16:
      return body(__nv_bfloat16{});
    default:
      throw InternalError("expected float32 or bfloat16");
  }
}

}  // namespace cuda
