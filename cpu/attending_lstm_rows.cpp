// Arithmetic of single rows of the attending LSTM. All of it runs in vectors; the loops over cells
// take four at a time, so that what is common to them is loaded once.
#include "attending_lstm_rows.h"

#include <algorithm>
#include <limits>

#include "simd.h"

namespace cpu {
namespace {

constexpr int kBlock = 512;  // of columns: a row's part of a sum stays in the first-level cache

SIMD_INLINE float relu(float x) { return x < 0.0f ? 0.0f : x; }

}  // namespace

SIMD void attend_row(float* alpha, const float* keys, const float* query, const float* weight,
                     int cells, int attention) {
  int s = 0;
  for (; s + 4 <= cells; s += 4) {
    const float* k0 = keys + static_cast<int64_t>(s) * attention;
    const float *k1 = k0 + attention, *k2 = k1 + attention, *k3 = k2 + attention;
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int a = 0; a < attention; a++) {
      s0 += weight[a] * relu(k0[a] + query[a]);
      s1 += weight[a] * relu(k1[a] + query[a]);
      s2 += weight[a] * relu(k2[a] + query[a]);
      s3 += weight[a] * relu(k3[a] + query[a]);
    }
    alpha[s] = s0;
    alpha[s + 1] = s1;
    alpha[s + 2] = s2;
    alpha[s + 3] = s3;
  }
  for (; s < cells; s++) {
    const float* key = keys + static_cast<int64_t>(s) * attention;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int a = 0; a < attention; a++) sum += weight[a] * relu(key[a] + query[a]);
    alpha[s] = sum;
  }
  float largest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : largest)
  for (int i = 0; i < cells; i++) largest = alpha[i] > largest ? alpha[i] : largest;
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < cells; i++) {
    alpha[i] = vexp(alpha[i] - largest);
    total += alpha[i];
  }
  const float factor = 1.0f / total;
  for (int i = 0; i < cells; i++) alpha[i] *= factor;
}

SIMD void weigh_cells(float* const* out, const float* const* alpha, int n, const float* memory,
                      int cells, int features) {
  for (int first = 0; first < features; first += kBlock) {
    const int width = std::min(kBlock, features - first);
    for (int k = 0; k < n; k++) std::fill_n(out[k] + first, width, 0.0f);
    int s = 0;
    for (; s + 4 <= cells; s += 4) {
      const float* __restrict m0 = memory + static_cast<int64_t>(s) * features + first;
      const float* __restrict m1 = m0 + features;
      const float* __restrict m2 = m1 + features;
      const float* __restrict m3 = m2 + features;
      for (int k = 0; k < n; k++) {
        float* __restrict to = out[k] + first;
        const float* at = alpha[k] + s;
        const float a0 = at[0], a1 = at[1], a2 = at[2], a3 = at[3];
#pragma omp simd
        for (int f = 0; f < width; f++)
          to[f] += a0 * m0[f] + a1 * m1[f] + (a2 * m2[f] + a3 * m3[f]);
      }
    }
    for (; s < cells; s++) {
      const float* __restrict m = memory + static_cast<int64_t>(s) * features + first;
      for (int k = 0; k < n; k++) {
        float* __restrict to = out[k] + first;
        const float a = alpha[k][s];
#pragma omp simd
        for (int f = 0; f < width; f++) to[f] += a * m[f];
      }
    }
  }
}

SIMD void gate_row(float* gated, float* gate, const float* product, const float* bias,
                   const float* context, int features) {
#pragma omp simd
  for (int f = 0; f < features; f++) {
    const float g = vsigmoid(product[f] + bias[f]);
    gate[f] = g;
    gated[f] = g * context[f];
  }
}

SIMD void cell_row(float* h, float* c, float* gates, const float* products, const float* inputs,
                   const float* bias, int hidden) {
  const int second = hidden, third = 2 * hidden, fourth = 3 * hidden;
#pragma omp simd
  for (int d = 0; d < hidden; d++) {
    const float i = vsigmoid(products[d] + inputs[d] + bias[d]);
    const float f = vsigmoid(products[second + d] + inputs[second + d] + bias[second + d]);
    const float g = vtanh(products[third + d] + inputs[third + d] + bias[third + d]);
    const float o = vsigmoid(products[fourth + d] + inputs[fourth + d] + bias[fourth + d]);
    const float cell = f * c[d] + i * g;
    gates[d] = i;
    gates[second + d] = f;
    gates[third + d] = g;
    gates[fourth + d] = o;
    c[d] = cell;
    h[d] = o * vtanh(cell);
  }
}

SIMD void cell_row_backward(float* dgates, float* dc, const float* dh, const float* gates,
                            const float* c, const float* c_before, int hidden) {
  const float *in = gates, *forget = in + hidden, *update = forget + hidden;
  const float* out = update + hidden;
  float *din = dgates, *dforget = din + hidden, *dupdate = dforget + hidden;
  float* dout = dupdate + hidden;
#pragma omp simd
  for (int d = 0; d < hidden; d++) {
    const float i = in[d], f = forget[d], g = update[d], o = out[d];
    const float t = vtanh(c[d]);
    const float dcell = dc[d] + dh[d] * o * (1.0f - t * t);
    din[d] = dcell * g * i * (1.0f - i);
    dforget[d] = dcell * c_before[d] * f * (1.0f - f);
    dupdate[d] = dcell * i * (1.0f - g * g);
    dout[d] = dh[d] * t * o * (1.0f - o);
    dc[d] = dcell * f;
  }
}

SIMD void gate_row_backward(float* dgate, float* dcontext, float* gated, const float* dgated,
                            const float* gate, const float* context, int features) {
#pragma omp simd
  for (int f = 0; f < features; f++) {
    const float g = gate[f];
    dgate[f] = dgated[f] * context[f] * g * (1.0f - g);
    dcontext[f] = dgated[f] * g;
    gated[f] = g * context[f];
  }
}

SIMD void weigh_cells_backward(float* const* dalpha, const float* const* dcontext, int n,
                               const float* memory, int cells, int features) {
  int s = 0;
  for (; s + 4 <= cells; s += 4) {
    const float* m0 = memory + static_cast<int64_t>(s) * features;
    const float *m1 = m0 + features, *m2 = m1 + features, *m3 = m2 + features;
    for (int k = 0; k < n; k++) {
      const float* gradient = dcontext[k];
      float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
      for (int f = 0; f < features; f++) {
        s0 += m0[f] * gradient[f];
        s1 += m1[f] * gradient[f];
        s2 += m2[f] * gradient[f];
        s3 += m3[f] * gradient[f];
      }
      float* to = dalpha[k] + s;
      to[0] += s0;
      to[1] += s1;
      to[2] += s2;
      to[3] += s3;
    }
  }
  for (; s < cells; s++) {
    const float* m = memory + static_cast<int64_t>(s) * features;
    for (int k = 0; k < n; k++) {
      const float* gradient = dcontext[k];
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int f = 0; f < features; f++) sum += m[f] * gradient[f];
      dalpha[k][s] += sum;
    }
  }
}

SIMD void attend_row_backward(float* dscores, float* dquery, const float* alpha, const float* keys,
                              const float* query, const float* weight, int cells, int attention) {
  float mean = 0;
#pragma omp simd reduction(+ : mean)
  for (int s = 0; s < cells; s++) mean += alpha[s] * dscores[s];
  for (int s = 0; s < cells; s++) dscores[s] = alpha[s] * (dscores[s] - mean);
  std::fill_n(dquery, attention, 0.0f);
  int s = 0;
  for (; s + 4 <= cells; s += 4) {
    const float* __restrict k0 = keys + static_cast<int64_t>(s) * attention;
    const float* __restrict k1 = k0 + attention;
    const float* __restrict k2 = k1 + attention;
    const float* __restrict k3 = k2 + attention;
    const float d0 = dscores[s], d1 = dscores[s + 1], d2 = dscores[s + 2], d3 = dscores[s + 3];
#pragma omp simd
    for (int a = 0; a < attention; a++) {
      const float q = query[a];
      dquery[a] += ((k0[a] + q > 0.0f ? d0 : 0.0f) + (k1[a] + q > 0.0f ? d1 : 0.0f)) +
                   ((k2[a] + q > 0.0f ? d2 : 0.0f) + (k3[a] + q > 0.0f ? d3 : 0.0f));
    }
  }
  for (; s < cells; s++) {
    const float* __restrict key = keys + static_cast<int64_t>(s) * attention;
    const float d = dscores[s];
#pragma omp simd
    for (int a = 0; a < attention; a++) dquery[a] += key[a] + query[a] > 0.0f ? d : 0.0f;
  }
#pragma omp simd
  for (int a = 0; a < attention; a++) dquery[a] *= weight[a];
}

SIMD void key_gradient(float* dkey, float* dweight, const float* key, const float* const* queries,
                       const float* dscores, int64_t stride, int n, const float* weight,
                       int attention) {
  std::fill_n(dkey, attention, 0.0f);
  for (int k = 0; k < n; k++) {
    const float* __restrict query = queries[k];
    const float d = dscores[k * stride];
#pragma omp simd
    for (int a = 0; a < attention; a++) {
      const float sum = key[a] + query[a];
      dkey[a] += sum > 0.0f ? d : 0.0f;
      dweight[a] += d * relu(sum);
    }
  }
#pragma omp simd
  for (int a = 0; a < attention; a++) dkey[a] *= weight[a];
}

}  // namespace cpu
