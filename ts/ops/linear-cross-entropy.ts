/** The vocabulary layer with its loss: logits exist for a few hundred tokens at a time only. */
import { argumentError, shapeText } from '../errors.js'
import type { Tensor } from '../tensor.js'
import { defineOp, expectShape } from './define-op.js'
import { productColumns } from './linear.js'

export interface CrossEntropyOptions {
  /** Tokens with this target count for nothing; -100 unless given. */
  readonly ignoreIndex?: number
  /** Share of the target's probability that is spread over all classes, from 0 to below 1; 0 unless given. */
  readonly labelSmoothing?: number
}

/**
 * loss = sum over tokens of tokenWeights cross-entropy(softmax(x weight^T + bias), targets) / denominator, in nats.
 * Its gradients come out of the same pass over the logits and wait, scaled by the loss's own gradient, for the tape.
 *
 * @param x            [..., C]
 * @param weight       [V, C]
 * @param bias         [V]
 * @param targets      int32 [...]: class of each token, 0 to V - 1, or ignoreIndex
 * @param tokenWeights float32 [...]: of either sign; all 1 when left out; constants
 * @param denominator  [1]: what the sum is divided by, usually the number of tokens that count; a constant
 * @returns            [1] float32
 * @throws ShapeError when the shapes do not fit together; ArgumentError for bad options, and, once the device gets
 *   there, for targets out of range
 * Source of label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.
 */
export const linearCrossEntropy = defineOp({
  name: 'linearCrossEntropy',
  inputs: ['x', 'weight', 'bias?', 'targets', 'tokenWeights?', 'denominator'],
  kinds: {
    weight: 'parameter',
    bias: 'float32',
    targets: 'int32',
    tokenWeights: 'float32',
    denominator: 'float32',
  },
  shape: (
    { x, weight, bias, targets, tokenWeights, denominator },
    options: CrossEntropyOptions,
  ) => {
    checkCrossEntropy('linearCrossEntropy', x, weight, bias, targets, options)
    expectShape('linearCrossEntropy', 'tokenWeights', tokenWeights, targets.shape, 'targets')
    expectShape('linearCrossEntropy', 'denominator', denominator, [1], 'one loss')
    return { shape: [1], dtype: 'float32' as const }
  },
  extras: ({ x, weight, bias }) => ({
    dx: { shape: x.shape },
    dweight: { shape: weight.shape, dtype: 'float32' as const },
    dbias: { shape: bias?.shape ?? [0], dtype: 'float32' as const },
  }),
  forward: (k, out, inputs, options, { dx, dweight, dbias }) =>
    k.linearCrossEntropy(
      out,
      undefined,
      undefined,
      dx,
      dweight,
      inputs.bias && dbias,
      inputs.x,
      inputs.weight,
      inputs.bias,
      inputs.targets,
      inputs.tokenWeights,
      inputs.denominator,
      ...crossEntropyNumbers(options),
    ),
  saves: ['dx', 'dweight', 'dbias'],
  backward: ({ k, grad, gradOf, saved }) => {
    const scaled = (name: 'x' | 'weight' | 'bias', from: Tensor) => {
      const out = gradOf(name)
      if (out) k.multiply(out, from, grad)
      return out
    }
    return {
      x: scaled('x', saved.dx),
      weight: scaled('weight', saved.dweight),
      bias: scaled('bias', saved.dbias),
    }
  },
})

/** @throws ShapeError, ArgumentError */
export function checkCrossEntropy(
  op: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  targets: Tensor,
  { ignoreIndex = -100, labelSmoothing = 0 }: CrossEntropyOptions,
): void {
  const classes = productColumns(op, x, weight)
  expectShape(op, 'bias', bias, [classes], `weight ${shapeText(weight.shape)}`)
  expectShape(op, 'targets', targets, x.shape.slice(0, -1), 'the rows of x')
  if (!Number.isInteger(ignoreIndex))
    throw argumentError(op, 'ignoreIndex', 'an integer', ignoreIndex)
  if (!(labelSmoothing >= 0 && labelSmoothing < 1))
    throw argumentError(op, 'labelSmoothing', 'a number from 0 to below 1', labelSmoothing)
}

/** The options as the kernel takes them. */
export function crossEntropyNumbers({
  ignoreIndex = -100,
  labelSmoothing = 0,
}: CrossEntropyOptions): [ignoreIndex: number, labelSmoothing: number] {
  return [ignoreIndex, labelSmoothing]
}
