// Fill, copy with conversion, sums and a scaling by a number in memory. Bound by memory bandwidth:
// every kernel reads and writes each element once.
#include "device/vector.cuh"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;

// Neighbouring elements of one thread: as many as make 16 bytes of the wider type.
template <class A, class B = A>
constexpr int kTogether = 16 / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));

DEVICE int64_t thread_index() { return int64_t{blockIdx.x} * kThreads + threadIdx.x; }

dim3 blocks_for(int64_t threads) {
  return dim3(static_cast<unsigned>(ceil_div<int64_t>(threads, kThreads)));
}

// out[i] = f(a[i], b[i]) for the thread's N elements; with N above 1, pointers are aligned to them.
template <int N, class Out, class A, class F>
DEVICE void each(Out* out, const A* a, const A* b, int64_t size, F f) {
  const int64_t first = thread_index() * N;
  if (first + N <= size) {
    float x[N], y[N];
    load(x, a + first);
    load(y, b + first);
#pragma unroll
    for (int i = 0; i < N; i++) x[i] = f(x[i], y[i]);
    store(out + first, x);
  } else {
    for (int64_t i = first; i < size; i++)
      out[i] = from_float<Out>(f(to_float(a[i]), to_float(b[i])));
  }
}

template <int N, class T>
__global__ void fill_kernel(T* out, float value, int64_t size) {
  const int64_t first = thread_index() * N;
  if (first + N <= size) {
    float x[N];
#pragma unroll
    for (int i = 0; i < N; i++) x[i] = value;
    store(out + first, x);
  } else {
    for (int64_t i = first; i < size; i++) out[i] = from_float<T>(value);
  }
}

template <int N, class Out, class In>
__global__ void convert_kernel(Out* out, const In* x, int64_t size) {
  each<N>(out, x, x, size, [](float value, float) { return value; });
}

template <class Out, class In>
__global__ void convert_rows_kernel(Out* out, const In* x, int64_t size, int columns,
                                    int64_t out_stride, int64_t x_stride) {
  const int64_t i = thread_index();
  if (i >= size) return;
  const int64_t row = i / columns;
  const int64_t column = i % columns;
  out[row * out_stride + column] = from_float<Out>(to_float(x[row * x_stride + column]));
}

// out may be a.
template <int N, class T>
__global__ void add_kernel(T* out, const T* a, const T* b, int64_t size) {
  each<N>(out, a, b, size, [](float x, float y) { return x + y; });
}

template <int N, class T>
__global__ void multiply_kernel(T* out, const T* x, const float* factor, int64_t size) {
  const float by = *factor;
  each<N>(out, x, x, size, [by](float value, float) { return value * by; });
}

// Calls body(T{}) with the tensor's element type, integers included.
template <class Body>
void with_type(Tensor t, Body body) {
  switch (t.dtype) {
    case Dtype::int32:
      return body(int32_t{});
    case Dtype::uint8:
      return body(uint8_t{});
    default:
      return with_float_type(t, body);
  }
}

// Launches kernel<N> over elements, N neighbouring ones a thread when the tensors allow it.
template <int N, class Kernel, class... Arguments>
void launch_each(bool together, Kernel kernel, int64_t size, Stream& stream,
                 Arguments... arguments) {
  if (together) {
    launch(kernel(std::integral_constant<int, N>{}), blocks_for(ceil_div<int64_t>(size, N)),
           kThreads, 0, stream, arguments..., size);
  } else {
    launch(kernel(std::integral_constant<int, 1>{}), blocks_for(size), kThreads, 0, stream,
           arguments..., size);
  }
}

void copy_bytes(Tensor out, Tensor x, bool whole, Stream& stream) {
  const size_t unit = static_cast<size_t>(bytes_of(x.dtype));
  const auto handle = gpu(stream).handle();
  if (whole) {
    check(cudaMemcpyAsync(out.data, x.data, static_cast<size_t>(x.bytes()),
                          cudaMemcpyDeviceToDevice, handle),
          "copy");
  } else {
    check(cudaMemcpy2DAsync(out.data, out.row_stride * unit, x.data, x.row_stride * unit,
                            x.columns() * unit, static_cast<size_t>(x.rows()),
                            cudaMemcpyDeviceToDevice, handle),
          "copy");
  }
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void fill(Tensor out, float value, Stream& stream) {
  with_type(out, [&]<class T>(T) {
    launch_each<kTogether<T>>(
        aligned(out), [](auto n) { return fill_kernel<n(), T>; }, out.size(), stream, data<T>(out),
        value);
  });
}

void copy(Tensor out, Tensor x, Stream& stream) {
  if (x.size() == 0) return;
  const bool whole = out.row_stride == out.columns() && x.row_stride == x.columns();
  with_type(out, [&]<class Out>(Out) {
    with_type(x, [&]<class In>(In) {
      if constexpr (std::is_same_v<Out, In>) {
        copy_bytes(out, x, whole, stream);
      } else if (whole) {
        launch_each<kTogether<Out, In>>(
            aligned(out, x), [](auto n) { return convert_kernel<n(), Out, In>; }, x.size(), stream,
            data<Out>(out), data<In>(x));
      } else {
        launch(convert_rows_kernel<Out, In>, blocks_for(x.size()), kThreads, 0, stream,
               data<Out>(out), data<In>(x), x.size(), x.columns(), out.row_stride, x.row_stride);
      }
    });
  });
}

void add(Tensor out, Tensor a, Tensor b, Stream& stream) {
  with_float_type(out, [&]<class T>(T) {
    launch_each<kTogether<T>>(
        aligned(out, a, b), [](auto n) { return add_kernel<n(), T>; }, out.size(), stream,
        data<T>(out), data<T>(a), data<T>(b));
  });
}

void accumulate(Tensor out, Tensor x, Stream& stream) { add(out, out, x, stream); }

void multiply(Tensor out, Tensor x, Tensor factor, Stream& stream) {
  with_float_type(out, [&]<class T>(T) {
    launch_each<kTogether<T>>(
        aligned(out, x), [](auto n) { return multiply_kernel<n(), T>; }, out.size(), stream,
        data<T>(out), data<T>(x), data<float>(factor));
  });
}

}  // namespace cuda
