/**
 * Inputs and options for every op: edge sizes, optional inputs present and absent, and wrong shapes with the error
 * they must give. All op tests and the op benchmark come from here. Plain results are in references.ts.
 */
import type { OpName } from '../../ts/ops/registry.js'
import type { Dtype } from '../../ts/tensor.js'
import { attentionSamples } from './samples/attention.js'
import { convolutionSamples } from './samples/convolution.js'
import { linearSamples } from './samples/linear.js'
import { lstmSamples } from './samples/lstm.js'
import { transformerSamples } from './samples/transformer.js'

/** How an input is filled: seeded normal numbers (scaled) unless `data` or a range of integers is given. */
export interface SampleInput {
  readonly shape: readonly number[]
  readonly dtype?: Dtype
  readonly data?: readonly number[]
  readonly scale?: number
  readonly offset?: number
  /** Integers from low to high - 1. */
  readonly integers?: readonly [low: number, high: number]
}

export interface Sample {
  readonly inputs: Readonly<Record<string, SampleInput>>
  readonly options?: object
  /** Inputs whose gradient is checked; every float32 input unless given. */
  readonly gradients?: readonly string[]
  /** Relative tolerance when the table of tolerances does not fit. */
  readonly tolerance?: number
}

export interface WrongSample {
  readonly inputs: Readonly<Record<string, SampleInput>>
  readonly options?: object
  readonly error: RegExp
}

export interface OpSamples {
  readonly right: readonly Sample[]
  readonly wrong: readonly WrongSample[]
}

const of = (...shape: number[]): SampleInput => ({ shape })

export const samples: Readonly<Record<OpName, OpSamples>> = {
  ...attentionSamples,
  ...convolutionSamples,
  ...linearSamples,
  ...lstmSamples,
  ...transformerSamples,
  add: {
    right: [1, 31, 32, 33, 1000].map((n) => ({ inputs: { a: of(n, 3), b: of(n, 3) } })),
    wrong: [{ inputs: { a: of(2, 3), b: of(3, 2) }, error: /add: b is \[3, 2\].*\[2, 3\]/ }],
  },
  reshape: {
    right: [{ inputs: { x: of(2, 3, 5) }, options: { shape: [6, 5] } }],
    wrong: [{ inputs: { x: of(3, 2) }, options: { shape: [4] }, error: /reshape: x is \[3, 2\]/ }],
  },
  section: {
    right: [
      { inputs: { x: of(7, 5) }, options: { start: 0, shape: [7, 5] } },
      { inputs: { x: of(33) }, options: { start: 11, shape: [3, 7] } },
      { inputs: { x: of(5, 3) }, options: { start: 14, shape: [1] } },
    ],
    wrong: [
      { inputs: { x: of(3, 2) }, options: { start: 3, shape: [4] }, error: /section: \[4\] from/ },
    ],
  },
  slice: {
    right: [
      { inputs: { x: of(7, 5) }, options: { start: 2, end: 6 } },
      { inputs: { x: of(3) }, options: { start: 0, end: 1 } },
    ],
    wrong: [{ inputs: { x: of(3, 2) }, options: { start: 1, end: 4 }, error: /slice: expected/ }],
  },
  weightedSum: {
    right: [
      { inputs: { x: of(7, 5), weights: of(7, 5) }, gradients: ['x'] },
      { inputs: { x: of(1), weights: of(1) }, gradients: ['x'] },
      { inputs: { x: of(100_003), weights: of(100_003) }, gradients: ['x'] },
    ],
    wrong: [{ inputs: { x: of(3, 2), weights: of(6) }, error: /weightedSum: weights is \[6\]/ }],
  },
}
