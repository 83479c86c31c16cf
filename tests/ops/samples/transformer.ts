/** Samples of a transformer's smaller ops: rotary positions, SwiGLU, layer scale, attention weights. */
import type { OpSamples, Sample, SampleInput } from '../samples.js'

const of = (...shape: number[]): SampleInput => ({ shape })
const integers = (...data: number[]): SampleInput => ({
  shape: [data.length],
  dtype: 'int32',
  data,
})
const offsetsOf = (lengths: readonly number[]): SampleInput => {
  let sum = 0
  return integers(0, ...lengths.map((n) => (sum += n)))
}
const total = (lengths: readonly number[]) => lengths.reduce((sum, n) => sum + n, 0)

/** Angles of a float32 are known to position times 1e-7. */
const positions = (count: number): SampleInput => ({
  shape: [count],
  dtype: 'int32',
  integers: [0, 41],
})

const turned = (rows: number, columns: number, size: number, heads: number, theta?: number) => ({
  inputs: { x: of(rows, columns), positions: positions(rows) },
  options: { size, heads, ...(theta ? { theta } : {}) },
})

const gated = (...shape: number[]): Sample => ({ inputs: { x: of(...shape) } })

const scaled = (shape: readonly number[], residual: boolean): Sample => ({
  inputs: {
    x: of(...shape),
    scale: of(shape.at(-1) ?? 1),
    ...(residual ? { residual: of(...shape) } : {}),
  },
})

interface Looks {
  readonly queries: readonly number[]
  readonly keys: readonly number[]
  readonly heads: number
  readonly size: number
  readonly maxKeys?: number
}

const looks = ({ queries, keys, heads, size, maxKeys = Math.max(...keys) }: Looks): Sample => ({
  inputs: {
    q: of(total(queries), heads * size),
    kv: of(total(keys), 2 * heads * size),
    queryOffsets: offsetsOf(queries),
    keyOffsets: offsetsOf(keys),
  },
  options: {
    heads,
    rowsPerKey: queries.length / keys.length,
    maxQueries: Math.max(...queries),
    maxKeys,
  },
})

const lookOptions = { heads: 2, rowsPerKey: 1, maxQueries: 4, maxKeys: 3 }

export const transformerSamples: Readonly<
  Record<'rotary' | 'swiglu' | 'layerScale' | 'attentionWeights', OpSamples>
> = {
  rotary: {
    right: [
      turned(1, 2, 2, 1),
      turned(31, 48, 16, 2),
      turned(33, 96, 16, 4),
      turned(7, 30, 10, 2),
      turned(129, 192, 64, 2, 100),
      turned(5, 37, 6, 5),
    ],
    wrong: [
      {
        inputs: { x: of(3, 12), positions: positions(2) },
        options: { size: 4, heads: 2 },
        error: /rotary: positions is \[2\]/,
      },
      {
        inputs: { x: of(3, 12), positions: positions(3) },
        options: { size: 3, heads: 2 },
        error: /rotary: expected size to be an even number >= 2, received 3/,
      },
      {
        inputs: { x: of(3, 12), positions: positions(3) },
        options: { size: 8, heads: 2 },
        error: /rotary: x has 12 columns; 2 heads of 8 need 16/,
      },
      {
        inputs: { x: of(3, 12), positions: positions(3) },
        options: { size: 4, heads: 2, theta: 0 },
        error: /rotary: expected theta to be a number above 0, received 0/,
      },
    ],
  },
  swiglu: {
    right: [
      gated(1, 2),
      gated(31, 6),
      gated(33, 64),
      gated(2, 3, 1026),
      gated(300, 16),
      gated(1, 8200),
    ],
    wrong: [{ inputs: { x: of(2, 5) }, error: /swiglu: x has 5 columns/ }],
  },
  layerScale: {
    right: [
      scaled([1, 1], false),
      scaled([31, 33], true),
      scaled([33, 128], true),
      scaled([2, 5, 64], false),
      scaled([1000, 7], true),
      scaled([3, 2056], false),
    ],
    wrong: [
      { inputs: { x: of(2, 5), scale: of(4) }, error: /layerScale: scale is \[4\]/ },
      {
        inputs: { x: of(2, 5), scale: of(5), residual: of(5, 2) },
        error: /layerScale: residual is \[5, 2\]/,
      },
    ],
  },
  attentionWeights: {
    right: [
      looks({ queries: [1], keys: [1], heads: 1, size: 3 }),
      looks({ queries: [12, 20, 1, 0, 16, 17], keys: [49, 49], heads: 4, size: 32 }),
      looks({ queries: [3, 4], keys: [0, 7], heads: 2, size: 6, maxKeys: 9 }),
      looks({ queries: [5], keys: [300], heads: 2, size: 16 }),
      looks({ queries: [2, 2], keys: [33], heads: 1, size: 130 }),
    ],
    wrong: [
      {
        inputs: {
          q: of(4, 8),
          kv: of(3, 8),
          queryOffsets: integers(0, 4),
          keyOffsets: integers(0, 3),
        },
        options: lookOptions,
        error: /attentionWeights: kv is \[3, 8\] and q is \[4, 8\].*twice/,
      },
      {
        inputs: {
          q: of(4, 8),
          kv: of(3, 16),
          queryOffsets: integers(0, 2, 4),
          keyOffsets: integers(0, 3),
        },
        options: lookOptions,
        error: /attentionWeights: expected rowsPerKey to be 2 rows \/ 1 sets of keys, received 1/,
      },
    ],
  },
}
