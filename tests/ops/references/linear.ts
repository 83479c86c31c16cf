/** Linear layers, norms, embedding, dropout and the losses, in float64 and as plainly as possible. */
import type { Activation } from '../../../ts/kernels.js'
import { type Array64, given, type ReferenceInputs } from '../references.js'
import { activate } from './activations.js'
import { dropoutFactor } from './philox.js'

interface CrossEntropyOptions {
  ignoreIndex?: number
  labelSmoothing?: number
}

/** x [..., C] weight [O, C]^T + bias: the rows of the product. */
function product(inputs: ReferenceInputs): Float64Array[] {
  const weight = given(inputs, 'weight')
  const [outputs = 0, columns = 0] = weight.shape
  return rowsOf(given(inputs, 'x')).map((row) =>
    Float64Array.from({ length: outputs }, (_, o) => {
      let sum = inputs.bias?.data[o] ?? 0
      for (let c = 0; c < columns; c++) sum += at(row, c) * at(weight.data, o * columns + c)
      return sum
    }),
  )
}

function linear(
  inputs: ReferenceInputs,
  { activation = 'none' }: { activation?: Activation } = {},
): Float64Array {
  return joined(product(inputs)).map(
    (value, i) => activate[activation](value) + (inputs.residual?.data[i] ?? 0),
  )
}

function norm(
  inputs: ReferenceInputs,
  epsilon: number,
  meanOf: (row: Float64Array) => number,
): Float64Array {
  const weight = given(inputs, 'weight').data
  const rows = rowsOf(given(inputs, 'x')).map((row) => {
    const mean = meanOf(row)
    const spread = average(row.map((value) => (value - mean) ** 2))
    return row.map(
      (value, i) =>
        ((value - mean) / Math.sqrt(spread + epsilon)) * at(weight, i) +
        (inputs.bias?.data[i] ?? 0),
    )
  })
  return joined(rows)
}

function embedding(inputs: ReferenceInputs, { scale = 1 }: { scale?: number } = {}): Float64Array {
  const tokenRows = rowsOf(given(inputs, 'tokenWeight'))
  const positionRows = inputs.positionWeight && rowsOf(inputs.positionWeight)
  const rows = Array.from(given(inputs, 'tokens').data, (token, n) => {
    const position = positionRows?.[inputs.positions?.data[n] ?? 0]
    return (tokenRows[token] ?? new Float64Array()).map(
      (value, i) => scale * value + (position ? at(position, i) : 0),
    )
  })
  return joined(rows)
}

/** The cross-entropy of each token. */
function tokenLoss(
  inputs: ReferenceInputs,
  { ignoreIndex = -100, labelSmoothing = 0 }: CrossEntropyOptions = {},
): Float64Array {
  const targets = given(inputs, 'targets').data
  const losses = product(inputs).map((logits, n) => {
    const target = at(targets, n)
    if (target === ignoreIndex) return 0
    const largest = Math.max(...logits)
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0)
    const logProbabilities = logits.map((logit) => logit - largest - Math.log(sum))
    return (
      -(1 - labelSmoothing) * at(logProbabilities, target) -
      labelSmoothing * average(logProbabilities)
    )
  })
  return Float64Array.from(losses)
}

function at(values: Float64Array, i: number): number {
  return values[i] ?? Number.NaN
}

function average(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function rowsOf(x: Array64): Float64Array[] {
  const columns = x.shape.at(-1) ?? 1
  return Array.from({ length: x.data.length / columns }, (_, row) =>
    x.data.slice(row * columns, (row + 1) * columns),
  )
}

function joined(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows.flatMap((row) => Array.from(row)))
}

export const linearReferences = {
  linear,
  layerNorm: (inputs: ReferenceInputs, { epsilon = 1e-5 }: { epsilon?: number } = {}) =>
    norm(inputs, epsilon, average),
  rmsNorm: (inputs: ReferenceInputs, { epsilon = 1e-5 }: { epsilon?: number } = {}) =>
    norm(inputs, epsilon, () => 0),
  embedding,
  dropout: (inputs: ReferenceInputs, options: { probability: number; tag: number }) => {
    const rng = given(inputs, 'rng').data
    return given(inputs, 'x').data.map(
      (value, i) =>
        value * dropoutFactor(rng, options.tag, i, options.probability) +
        (inputs.residual?.data[i] ?? 0),
    )
  },
  linearCrossEntropy: (inputs: ReferenceInputs, options?: CrossEntropyOptions) =>
    Float64Array.of(
      tokenLoss(inputs, options).reduce(
        (sum, loss, n) => sum + loss * (inputs.tokenWeights?.data[n] ?? 1),
        0,
      ) / at(given(inputs, 'denominator').data, 0),
    ),
  tokenLoss,
}
