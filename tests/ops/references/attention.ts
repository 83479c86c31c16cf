/** Attention in float64, one query at a time. */
import { type Array64, given, type ReferenceInputs } from '../references.js'
import { dropoutFactor } from './philox.js'

interface Options {
  heads: number
  causal?: boolean
  rowsPerKey?: number
  maxLength?: number
  maxKeys?: number
  probability?: number
  tag?: number
}

/** A column of x, counted from `start`. */
interface Columns {
  readonly x: Array64
  readonly start: number
}

function attend(
  [q, k, v]: readonly [Columns, Columns, Columns],
  [queryOffsets, keyOffsets]: readonly [Float64Array, Float64Array],
  rng: Array64 | undefined,
  channels: number,
  options: Options,
): Float64Array {
  const { heads, causal = false, rowsPerKey = 1, probability = 0, tag = 0 } = options
  const maxKeys = options.maxKeys ?? options.maxLength ?? 0
  const [queries = 0] = q.x.shape
  const size = channels / heads
  const at = ({ x, start }: Columns, row: number, column: number) =>
    x.data[row * (x.shape[1] ?? 0) + start + column] ?? Number.NaN
  const out = new Float64Array(queries * channels)
  for (let row = 0; row + 1 < queryOffsets.length; row++) {
    const group = Math.floor(row / rowsPerKey)
    const firstQuery = queryOffsets[row] ?? 0
    const firstKey = keyOffsets[group] ?? 0
    const keys = (keyOffsets[group + 1] ?? 0) - firstKey
    for (let query = firstQuery; query < (queryOffsets[row + 1] ?? 0); query++)
      for (let head = 0; head < heads; head++) {
        const seen = causal ? Math.min(keys, query - firstQuery + 1) : keys
        const scores = Array.from({ length: seen }, (_, j) => {
          let sum = 0
          for (let c = head * size; c < (head + 1) * size; c++)
            sum += at(q, query, c) * at(k, firstKey + j, c)
          return sum / Math.sqrt(size)
        })
        const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
        const sum = scores.reduce((total, s) => total + Math.exp(s - largest), 0)
        for (const [j, s] of scores.entries()) {
          const element = (head * queries + query) * maxKeys + j
          const factor = rng ? dropoutFactor(rng.data, tag, element, probability) : 1
          const weight = (factor * Math.exp(s - largest)) / sum
          for (let c = head * size; c < (head + 1) * size; c++)
            out[query * channels + c] =
              (out[query * channels + c] ?? 0) + weight * at(v, firstKey + j, c)
        }
      }
  }
  return out
}

export const attentionReferences = {
  selfAttention: (inputs: ReferenceInputs, options: Options) => {
    const qkv = given(inputs, 'qkv')
    const offsets = given(inputs, 'offsets').data
    const channels = (qkv.shape[1] ?? 0) / 3
    const [q, k, v] = [0, 1, 2].map((i) => ({ x: qkv, start: i * channels }))
    if (!q || !k || !v) throw new Error('three parts')
    return attend([q, k, v], [offsets, offsets], inputs.rng, channels, options)
  },
  crossAttention: (inputs: ReferenceInputs, options: Options) => {
    const [q, kv] = [given(inputs, 'q'), given(inputs, 'kv')]
    const channels = q.shape[1] ?? 0
    return attend(
      [
        { x: q, start: 0 },
        { x: kv, start: 0 },
        { x: kv, start: channels },
      ],
      [given(inputs, 'queryOffsets').data, given(inputs, 'keyOffsets').data],
      inputs.rng,
      channels,
      options,
    )
  },
}
