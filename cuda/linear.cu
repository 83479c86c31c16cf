// Linear layer with bias, activation and residual, and its gradients. The products and what follows
// them are gemm/'s; here is what the layer makes of them. Bound by the products: 2 N C O
// operations each.
#include "device/activation.cuh"
#include "device/channel_rows.cuh"
#include "gemm/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"

namespace cuda {
#include "../binding/kernels.h"

namespace {

constexpr int kThreads = 256;
// The same on every GPU, so that sums over rows are: 16 for each multiprocessor of an H100.
constexpr int64_t kMostBlocks = 2112;

// dpre = dout * activation'(pre); partials(?) [row blocks, columns]: its sums over rows. Bound by
// memory: reads dout and pre, writes dpre, 6 bytes an element in bf16.
template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    before_activation_kernel(T* dpre, float* partials, const T* dout, const T* pre, int activation,
                             ChannelRows sizes) {
  const ChannelThread at = channel_thread<V>(sizes);
  float sums[V] = {};
#pragma unroll 2
  for (int64_t row = at.row; row < at.end; row += sizes.height) {
    const int64_t first = row * sizes.channels + at.channel;
    float gradient[V], before[V];
    load(gradient, dout + first);
    load(before, pre + first);
    multiply_by_derivative(activation, gradient, before);
#pragma unroll
    for (int i = 0; i < V; i++) sums[i] += gradient[i];
    store(dpre + first, gradient);
  }
  if (!partials) return;
  sum_rows<kThreads>(sums);
  if (threadIdx.y == 0 && at.active)
    store(partials + at.row_block * sizes.channels + at.channel, sums);
}

// The gradient of the values before the activation, in scratch memory, and with it that of the
// bias, if wanted.
Tensor before_activation(Tensor dbias, Tensor dout, Tensor pre, int activation, Stream& stream) {
  Tensor dpre = dout;
  dpre.data = stream.scratch(static_cast<size_t>(dout.bytes()));
  const int columns = dout.columns();
  with_float_type(dout, [&]<class T>(T) {
    with_channel_vector<T>(aligned(dout, pre) && columns % kVector<T> == 0, [&](auto vector) {
      const ChannelRows sizes =
          channel_rows(dout.rows(), columns, vector(), kThreads, 8, kMostBlocks, 32);
      float* partials = nullptr;
      if (dbias)
        partials = static_cast<float*>(
            stream.scratch(sizeof(float) * static_cast<size_t>(sizes.row_blocks * columns)));
      launch(before_activation_kernel<vector(), T>, sizes.grid(), sizes.threads(), 0, stream,
             data<T>(dpre), partials, data<T>(dout), data<T>(pre), activation, sizes);
      if (dbias)
        column_sums(dbias.f32(), partials, Dtype::float32, sizes.row_blocks, columns, columns,
                    stream);
    });
  });
  return dpre;
}

}  // namespace

// -------------------------------------------------------------------------------------------------

void linear(Tensor out, Tensor pre, Tensor x, Tensor weight, Tensor bias, Tensor residual,
            int activation, Stream& stream) {
  const int inner = x.columns();
  Epilogue epilogue;
  epilogue.bias = bias.f32();
  epilogue.residual = residual.data;
  epilogue.pre = pre.data;
  epilogue.activation = activation;
  gemm(out.data, out.dtype, out.row_stride, static_cast<int>(out.rows()), out.columns(), inner,
       x.dtype, {x.data, x.row_stride, true}, {weight.data, inner, true}, epilogue, stream);
}

void linear_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x, Tensor weight,
                     Tensor pre, int activation, Stream& stream) {
  const int rows = static_cast<int>(dout.rows());
  const int outer = dout.columns();
  const int inner = x.columns();
  Tensor dpre = dout;
  if (activation != kNone && rows > 0) {
    dpre = before_activation(dbias, dout, pre, activation, stream);
  } else if (dbias) {
    column_sums(dbias.f32(), dout.data, dout.dtype, rows, outer, outer, stream);
  }
  if (dx)
    gemm(dx.data, dx.dtype, inner, rows, inner, outer, dpre.dtype, {dpre.data, outer, true},
         {weight.data, inner, false}, {}, stream);
  if (dweight)
    gemm(dweight.data, dweight.dtype, inner, outer, inner, rows, dpre.dtype,
         {dpre.data, outer, false}, {x.data, x.row_stride, false}, {}, stream);
}

}  // namespace cuda
