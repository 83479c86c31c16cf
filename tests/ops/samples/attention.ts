/** Samples of self-attention and cross-attention. */
import type { OpSamples, Sample, SampleInput } from '../samples.js'

const integers = (...data: number[]): SampleInput => ({
  shape: [data.length],
  dtype: 'int32',
  data,
})

/** 0, then the sums of the lengths so far. */
const offsetsOf = (lengths: readonly number[]): SampleInput =>
  integers(0, ...lengths.map((_, i) => total(lengths.slice(0, i + 1))))

const total = (lengths: readonly number[]) => lengths.reduce((sum, n) => sum + n, 0)
const rng = integers(7, 0, 3)

interface SelfCase {
  readonly lengths: readonly number[]
  readonly heads: number
  readonly size: number
  readonly causal: boolean
  readonly scale?: number
  readonly probability?: number
}

const selfSample = ({ lengths, heads, size, scale, ...options }: SelfCase): Sample => ({
  // Scores of a thousand are known to 1e-4 in float32, and so are their exponentials.
  ...(scale ? { tolerance: 1e-4 } : {}),
  inputs: {
    qkv: { shape: [total(lengths), 3 * heads * size], scale: scale ?? 1 },
    offsets: offsetsOf(lengths),
    ...(options.probability ? { rng } : {}),
  },
  options: { ...options, heads, maxLength: Math.max(...lengths, 1), tag: 5 },
})

const self: readonly SelfCase[] = [
  { lengths: [1], heads: 1, size: 4, causal: true },
  { lengths: [12, 20, 1, 16, 17], heads: 4, size: 32, causal: true },
  { lengths: [31, 0, 32, 33], heads: 2, size: 16, causal: true },
  { lengths: [31, 32, 0, 33], heads: 3, size: 20, causal: false },
  { lengths: [127, 128], heads: 1, size: 64, causal: false },
  { lengths: [129, 5], heads: 1, size: 128, causal: true },
  { lengths: [300], heads: 1, size: 4, causal: true },
  { lengths: [3, 7], heads: 3, size: 5, causal: false },
  { lengths: [9, 40], heads: 2, size: 8, causal: true, scale: 20 },
  { lengths: [5, 0, 33], heads: 2, size: 12, causal: true, probability: 0.4 },
  { lengths: [70], heads: 2, size: 8, causal: false, probability: 0.1 },
  // Head sizes that have kernels of their own on a GPU, in bfloat16; rows around strips of 16.
  { lengths: [16, 7, 1, 33], heads: 1, size: 64, causal: true },
  { lengths: [49, 64, 0, 65], heads: 1, size: 64, causal: false },
  { lengths: [65, 30], heads: 1, size: 32, causal: true, probability: 0.3 },
  { lengths: [17, 40], heads: 2, size: 96, causal: true, probability: 0.2 },
  // More keys of this size than the gradient has warps for.
  { lengths: [20, 81], heads: 1, size: 128, causal: true },
  { lengths: [9], heads: 1, size: 200, causal: true },
]

interface CrossCase {
  readonly queries: readonly number[]
  readonly keys: readonly number[]
  readonly heads: number
  readonly size: number
  readonly probability?: number
  /** Inputs whose gradient is wanted, unless both. */
  readonly gradients?: readonly string[]
}

const crossSample = ({
  queries,
  keys,
  heads,
  size,
  probability,
  gradients,
}: CrossCase): Sample => ({
  ...(gradients ? { gradients } : {}),
  inputs: {
    q: { shape: [total(queries), heads * size] },
    kv: { shape: [total(keys), 2 * heads * size] },
    queryOffsets: offsetsOf(queries),
    keyOffsets: offsetsOf(keys),
    ...(probability ? { rng } : {}),
  },
  options: {
    heads,
    rowsPerKey: keys.length === 0 ? 1 : queries.length / keys.length,
    maxQueries: Math.max(...queries, 1),
    maxKeys: Math.max(...keys, 1),
    ...(probability ? { probability, tag: 2 } : {}),
  },
})

const cross: readonly CrossCase[] = [
  // With one key the gradient of q is nothing but rounding.
  { queries: [1], keys: [1], heads: 1, size: 16, gradients: ['kv'] },
  { queries: [12, 20, 16, 13, 17, 15, 0, 14, 12, 19], keys: [49, 49], heads: 2, size: 32 },
  { queries: [3, 3, 3], keys: [49, 49, 49], heads: 8, size: 16 },
  { queries: [31, 33], keys: [197], heads: 1, size: 64 },
  { queries: [2, 3, 1, 4], keys: [0, 7], heads: 2, size: 6 },
  { queries: [0, 2], keys: [5, 4], heads: 1, size: 8 },
  { queries: [33], keys: [1000], heads: 1, size: 4 },
  { queries: [5, 6, 7, 8], keys: [31, 33], heads: 2, size: 8, probability: 0.3 },
  { queries: [5, 3, 0, 7], keys: [49, 16], heads: 2, size: 64, probability: 0.25 },
  { queries: [2, 3, 4], keys: [7, 0, 1], heads: 1, size: 96 },
  { queries: [40, 30], keys: [65], heads: 2, size: 32, gradients: ['q'] },
  { queries: [3, 19], keys: [16], heads: 1, size: 64, gradients: ['kv'] },
  // More keys than fit a block of a GPU: in the gradient, and in both.
  { queries: [6, 20], keys: [300], heads: 1, size: 64 },
  { queries: [18], keys: [197], heads: 1, size: 128, probability: 0.1 },
]

const qkv = (...shape: number[]): SampleInput => ({ shape })
const selfOptions = { heads: 2, causal: true, maxLength: 4 }
const crossOptions = { heads: 2, rowsPerKey: 2, maxQueries: 2, maxKeys: 3 }
const crossInputs = {
  q: qkv(4, 8),
  kv: qkv(3, 16),
  queryOffsets: integers(0, 2, 4),
  keyOffsets: integers(0, 3),
}

export const attentionSamples: { selfAttention: OpSamples; crossAttention: OpSamples } = {
  selfAttention: {
    right: [
      ...self.map(selfSample),
      {
        inputs: { qkv: qkv(0, 24), offsets: integers(0) },
        options: selfOptions,
        gradients: [],
      },
    ],
    wrong: [
      {
        inputs: { qkv: qkv(4, 20), offsets: integers(0, 4) },
        options: selfOptions,
        error: /selfAttention: qkv has 20 columns.*6 equal parts/,
      },
      {
        inputs: { qkv: qkv(4, 12, 1), offsets: integers(0, 4) },
        options: selfOptions,
        error: /selfAttention: qkv must have 2 axes/,
      },
      {
        inputs: { qkv: qkv(4, 24), offsets: integers() },
        options: selfOptions,
        error: /selfAttention: offsets is \[0\]/,
      },
      {
        inputs: { qkv: qkv(4, 24), offsets: integers(0, 4) },
        options: { ...selfOptions, maxLength: 0 },
        error: /selfAttention: expected maxLength to be an integer >= 1, received 0/,
      },
      {
        inputs: { qkv: qkv(4, 24), offsets: integers(0, 4), rng },
        options: { ...selfOptions, probability: 1 },
        error: /selfAttention: expected probability to be a number from 0 to below 1, received 1/,
      },
      {
        inputs: { qkv: qkv(4, 24), offsets: integers(0, 4) },
        options: { ...selfOptions, probability: 0.1 },
        error: /selfAttention: input rng is missing/,
      },
    ],
  },
  crossAttention: {
    right: cross.map(crossSample),
    wrong: [
      {
        inputs: { ...crossInputs, kv: qkv(3, 8) },
        options: crossOptions,
        error: /crossAttention: kv is \[3, 8\] and q is \[4, 8\].*twice/,
      },
      {
        inputs: crossInputs,
        options: { ...crossOptions, heads: 3 },
        error: /crossAttention: q has 8 columns/,
      },
      {
        inputs: crossInputs,
        options: { ...crossOptions, rowsPerKey: 3 },
        error: /crossAttention: expected rowsPerKey to be 2 rows \/ 1 sets of keys, received 3/,
      },
    ],
  },
}
