/**
 * Every op once more, as plainly as possible, in float64: what the kernels are compared with, and what central
 * differences are taken of. Speed does not matter here.
 */
import type { OpName } from '../../ts/ops/registry.js'
import { attentionReferences } from './references/attention.js'
import { convolutionReferences } from './references/convolution.js'
import { linearReferences } from './references/linear.js'
import { lstmReferences } from './references/lstm.js'
import { transformerReferences } from './references/transformer.js'

/** A host array in float64. */
export interface Array64 {
  readonly shape: readonly number[]
  readonly data: Float64Array
}

export type ReferenceInputs = Readonly<Record<string, Array64>>
// biome-ignore lint/suspicious/noExplicitAny: each reference knows the options of its own op
export type Reference = (inputs: ReferenceInputs, options: any) => Float64Array

/** An input that the sample surely gives. */
export function given(inputs: ReferenceInputs, name: string): Array64 {
  const array = inputs[name]
  if (!array) throw new Error(`the sample lacks ${name}`)
  return array
}

export const references: Readonly<Record<OpName, Reference>> = {
  ...attentionReferences,
  ...convolutionReferences,
  ...linearReferences,
  ...lstmReferences,
  ...transformerReferences,
  add: (inputs) => {
    const b = given(inputs, 'b').data
    return given(inputs, 'a').data.map((value, i) => value + (b[i] ?? 0))
  },
  reshape: (inputs) => given(inputs, 'x').data,
  section: (inputs, { start, shape }: { start: number; shape: readonly number[] }) =>
    given(inputs, 'x').data.slice(start, start + shape.reduce((size, n) => size * n, 1)),
  slice: (inputs, { start, end }: { start: number; end: number }) => {
    const x = given(inputs, 'x')
    const row = x.data.length / (x.shape[0] ?? 1)
    return x.data.slice(start * row, end * row)
  },
  weightedSum: (inputs) => {
    const weights = given(inputs, 'weights').data
    return Float64Array.of(
      given(inputs, 'x').data.reduce((sum, value, i) => sum + value * (weights[i] ?? 0), 0),
    )
  },
}
