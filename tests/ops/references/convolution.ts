/** Convolutions, their normalisation, pooling and image normalisation, in float64 and as plainly as possible. */
import type { Activation } from '../../../ts/kernels.js'
import { type Array64, given, type ReferenceInputs } from '../references.js'
import { activate } from './activations.js'

type Sides = readonly [top: number, left: number, bottom: number, right: number]

interface Options {
  stride?: number
  padding: number | 'same' | Sides
  groups?: number
  activation?: Activation
  epsilon?: number
}

/** TensorFlow's rule, from its documentation: ceil(size / stride) outputs, the smaller half of the zeros first. */
function sides(
  padding: Options['padding'],
  size: number,
  window: number,
  stride: number,
  axis: 0 | 1,
) {
  if (typeof padding === 'number') return [padding, padding]
  if (padding !== 'same') return [padding[axis] ?? 0, padding[axis + 2] ?? 0]
  const rest = size % stride
  const total = Math.max(window - (rest === 0 ? stride : rest), 0)
  return [Math.floor(total / 2), Math.ceil(total / 2)]
}

/** The plain convolution: [B, P, Q, O]. */
function convolve(x: Array64, weight: Array64, options: Options): Array64 {
  const [B = 0, H = 0, W = 0, C = 0] = x.shape
  const [O = 0, R = 0, S = 0, share = 0] = weight.shape
  const { stride = 1, padding, groups = 1 } = options
  const [top = 0, bottom = 0] = sides(padding, H, R, stride, 0)
  const [left = 0, right = 0] = sides(padding, W, S, stride, 1)
  const P = Math.floor((H + top + bottom - R) / stride) + 1
  const Q = Math.floor((W + left + right - S) / stride) + 1
  const data = new Float64Array(B * P * Q * O)
  for (let b = 0; b < B; b++)
    for (let p = 0; p < P; p++)
      for (let q = 0; q < Q; q++)
        for (let o = 0; o < O; o++) {
          const group = Math.floor(o / (O / groups))
          let sum = 0
          for (let r = 0; r < R; r++)
            for (let s = 0; s < S; s++) {
              const h = p * stride - top + r
              const w = q * stride - left + s
              if (h < 0 || h >= H || w < 0 || w >= W) continue
              for (let c = 0; c < share; c++)
                sum +=
                  (x.data[((b * H + h) * W + w) * C + group * share + c] ?? 0) *
                  (weight.data[((o * R + r) * S + s) * share + c] ?? 0)
            }
          data[((b * P + p) * Q + q) * O + o] = sum
        }
  return { shape: [B, P, Q, O], data }
}

function convolution(inputs: ReferenceInputs, options: Options): Float64Array {
  const y = convolve(given(inputs, 'x'), given(inputs, 'weight'), options)
  const O = y.shape[3] ?? 1
  const act = activate[options.activation ?? 'none']
  return y.data.map(
    (value, i) =>
      act?.(value + (inputs.bias?.data[i % O] ?? 0) + (inputs.residual?.data[i] ?? 0)) ??
      Number.NaN,
  )
}

function convolutionBatchNorm(inputs: ReferenceInputs, options: Options): Float64Array {
  const y = convolve(given(inputs, 'x'), given(inputs, 'weight'), options)
  const O = y.shape[3] ?? 1
  const rows = y.data.length / O
  const mean = new Float64Array(O)
  const variance = new Float64Array(O)
  for (const [i, value] of y.data.entries()) mean[i % O] = (mean[i % O] ?? 0) + value / rows
  for (const [i, value] of y.data.entries())
    variance[i % O] = (variance[i % O] ?? 0) + (value - (mean[i % O] ?? 0)) ** 2 / rows
  const act = activate[options.activation ?? 'none']
  return y.data.map((value, i) => {
    const c = i % O
    const deviation = Math.sqrt((variance[c] ?? 0) + (options.epsilon ?? 1e-5))
    const normal = (value - (mean[c] ?? 0)) / deviation
    const z = normal * (inputs.gamma?.data[c] ?? 0) + (inputs.beta?.data[c] ?? 0)
    return act?.(z + (inputs.residual?.data[i] ?? 0)) ?? Number.NaN
  })
}

/** Calls `body` with the elements of x under each window, one list an output. */
function pool(
  x: Array64,
  size: number | undefined,
  stride: number,
  padding: number,
  reduce: (values: readonly number[]) => number,
): Float64Array {
  const [B = 0, H = 0, W = 0, C = 0] = x.shape
  const P = size === undefined ? 1 : Math.floor((H + 2 * padding - size) / stride) + 1
  const Q = size === undefined ? 1 : Math.floor((W + 2 * padding - size) / stride) + 1
  const out: number[] = []
  for (let b = 0; b < B; b++)
    for (let p = 0; p < P; p++)
      for (let q = 0; q < Q; q++)
        for (let c = 0; c < C; c++) {
          const values: number[] = []
          for (let r = 0; r < (size ?? H); r++)
            for (let s = 0; s < (size ?? W); s++) {
              const h = p * stride - padding + r
              const w = q * stride - padding + s
              if (h < 0 || h >= H || w < 0 || w >= W) continue
              values.push(x.data[((b * H + h) * W + w) * C + c] ?? Number.NaN)
            }
          out.push(reduce(values))
        }
  return Float64Array.from(out)
}

interface PoolOptions {
  size?: number
  stride?: number
  padding?: number
}

function normalizeImage(
  inputs: ReferenceInputs,
  { size, channels = 3 }: { size?: readonly [number, number]; channels?: number } = {},
): Float64Array {
  const x = given(inputs, 'x')
  const [B = 0, IH = 0, IW = 0] = x.shape
  const [H, W] = size ?? [IH, IW]
  const out = new Float64Array(B * H * W * channels)
  const pixel = (b: number, h: number, w: number, c: number) =>
    x.data[((b * IH + h) * IW + w) * 3 + c] ?? Number.NaN
  for (let i = 0; i < out.length; i++) {
    const c = i % channels
    const w = Math.floor(i / channels) % W
    const h = Math.floor(i / channels / W) % H
    const b = Math.floor(i / channels / W / H)
    if (c >= 3) continue
    const crop = inputs.crop?.data.slice(b * 5, b * 5 + 5) ?? [0, 0, IH, IW, 0]
    const [top = 0, left = 0, height = 0, width = 0, mirrored = 0] = crop
    // Pixel centres lie at halves; beyond the centres of the outermost pixels the edge repeats.
    const y = clamp(((h + 0.5) * height) / H - 0.5, height)
    const z = clamp((((mirrored ? W - 1 - w : w) + 0.5) * width) / W - 0.5, width)
    let value = 0
    for (const [row, rowShare] of neighbours(y, height))
      for (const [column, columnShare] of neighbours(z, width))
        value += rowShare * columnShare * pixel(b, top + row, left + column, c)
    out[i] = (value / 255 - (inputs.mean?.data[c] ?? 0)) / (inputs.std?.data[c] ?? 0)
  }
  return out
}

function clamp(at: number, length: number): number {
  return Math.min(Math.max(at, 0), length - 1)
}

function neighbours(at: number, length: number): [index: number, share: number][] {
  const low = Math.floor(at)
  return [
    [low, 1 - (at - low)],
    [Math.min(low + 1, length - 1), at - low],
  ]
}

export const convolutionReferences = {
  convolution,
  convolutionBatchNorm,
  foldBatchNorm: (inputs: ReferenceInputs, { epsilon = 1e-5 }: { epsilon?: number } = {}) => {
    const weight = given(inputs, 'weight')
    const n = weight.data.length / (weight.shape[0] ?? 1)
    return weight.data.map((value, i) => {
      const o = Math.floor(i / n)
      const variance = inputs.runningVar?.data[o] ?? Number.NaN
      return (value * (inputs.gamma?.data[o] ?? 0)) / Math.sqrt(variance + epsilon)
    })
  },
  maxPool: (inputs: ReferenceInputs, { size, stride = size ?? 1, padding = 0 }: PoolOptions) =>
    pool(given(inputs, 'x'), size, stride, padding, (values) => Math.max(...values)),
  adaptiveAveragePool: (
    inputs: ReferenceInputs,
    { size: [P, Q] = [1, 1] }: { size?: readonly [number, number] } = {},
  ) => {
    const { shape, data } = given(inputs, 'x')
    const [B = 0, H = 0, W = 0, C = 0] = shape
    const out = new Float64Array(B * P * Q * C)
    for (let i = 0; i < out.length; i++) {
      const c = i % C
      const q = Math.floor(i / C) % Q
      const p = Math.floor(i / C / Q) % P
      const b = Math.floor(i / C / Q / P)
      const [top, bottom] = [Math.floor((p * H) / P), Math.ceil(((p + 1) * H) / P)]
      const [left, right] = [Math.floor((q * W) / Q), Math.ceil(((q + 1) * W) / Q)]
      let sum = 0
      for (let h = top; h < bottom; h++)
        for (let w = left; w < right; w++) sum += data[((b * H + h) * W + w) * C + c] ?? Number.NaN
      out[i] = sum / ((bottom - top) * (right - left))
    }
    return out
  },
  channelGate: (inputs: ReferenceInputs) => {
    const { shape, data } = given(inputs, 'x')
    const gate = given(inputs, 'gate').data
    const [, H = 0, W = 0, C = 0] = shape
    return data.map((value, i) => {
      const z = gate[Math.floor(i / (H * W * C)) * C + (i % C)] ?? Number.NaN
      return value / (1 + Math.exp(-z))
    })
  },
  imageTokens: (inputs: ReferenceInputs) => {
    const { shape, data } = given(inputs, 'x')
    const [first, positions] = [given(inputs, 'first').data, given(inputs, 'positions').data]
    const [B = 0, H = 0, W = 0, C = 0] = shape
    const tokens = 1 + H * W
    return Float64Array.from({ length: B * tokens * C }, (_, i) => {
      const [c, s, b] = [i % C, Math.floor(i / C) % tokens, Math.floor(i / C / tokens)]
      const value = s === 0 ? first[c] : data[(b * (tokens - 1) + s - 1) * C + c]
      return (value ?? Number.NaN) + (positions[s * C + c] ?? Number.NaN)
    })
  },
  normalizeImage,
}
