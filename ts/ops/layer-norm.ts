/** Layer norm over the last axis, and what norms check alike. */
import { argumentError, ShapeError } from '../errors.js'
import type { Tensor } from '../tensor.js'
import { defineOp, expectShape } from './define-op.js'

export interface NormOptions {
  /** Added to the variance; 1e-5 unless given. */
  readonly epsilon?: number
}

/**
 * out = (x - mean) / sqrt(variance + epsilon) * weight + bias, mean and (biased) variance of the last axis.
 *
 * @param x      [..., C]
 * @param weight [C]
 * @param bias   [C]
 * @returns      [..., C]
 * @throws ShapeError when the shapes do not fit together; ArgumentError for an epsilon that is not above 0
 * Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450.
 */
export const layerNorm = defineOp({
  name: 'layerNorm',
  inputs: ['x', 'weight', 'bias'],
  kinds: { weight: 'float32', bias: 'float32' },
  shape: ({ x, weight, bias }, { epsilon }: NormOptions) => {
    checkNorm('layerNorm', x, { weight, bias }, epsilon)
    return { shape: x.shape }
  },
  extras: ({ x }) => ({ mean: perRow(x), rstd: perRow(x) }),
  forward: (k, out, { x, weight, bias }, { epsilon = defaultEpsilon }, { mean, rstd }) =>
    k.layerNorm(out, mean, rstd, x, weight, bias, epsilon),
  saves: ['x', 'weight', 'mean', 'rstd'],
  backward: ({ k, grad, gradOf, saved: { x, weight, mean, rstd } }) => {
    const dx = gradOf('x')
    const dweight = gradOf('weight')
    const dbias = gradOf('bias')
    k.layerNormBackward(dx, dweight, dbias, grad, x, weight, mean, rstd)
    return { x: dx, weight: dweight, bias: dbias }
  },
})

export const defaultEpsilon = 1e-5

/** @throws ShapeError, ArgumentError */
export function checkNorm(
  op: string,
  x: Tensor,
  learned: Readonly<Record<string, Tensor>>,
  epsilon: number = defaultEpsilon,
): void {
  const channels = x.shape.at(-1)
  if (!channels) throw new ShapeError(`${op}: the last axis of x must hold at least one element`)
  for (const [name, t] of Object.entries(learned))
    expectShape(op, name, t, [channels], 'the last axis of x')
  if (!(epsilon > 0)) throw argumentError(op, 'epsilon', 'a number above 0', epsilon)
}

/** One float32 number for each row of the last axis. */
export function perRow(x: Tensor): { shape: readonly number[]; dtype: 'float32' } {
  return { shape: x.shape.slice(0, -1), dtype: 'float32' }
}
