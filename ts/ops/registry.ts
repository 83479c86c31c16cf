/** The list of all ops: what the tests, the benchmark and `doctor` walk over. One line an op. */
import { add } from './add.js'
import { reshape } from './reshape.js'
import { slice } from './slice.js'
import { weightedSum } from './weighted-sum.js'

export const ops = {
  add,
  reshape,
  slice,
  weightedSum,
} as const

export type OpName = keyof typeof ops
