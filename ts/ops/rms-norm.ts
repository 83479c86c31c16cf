/** RMS norm over the last axis. */
import { defineOp } from './define-op.js'
import { checkNorm, defaultEpsilon, type NormOptions, perRow } from './layer-norm.js'

/**
 * out = x / sqrt(mean of x^2 + epsilon) * weight, the mean of the last axis.
 *
 * @param x      [..., C]
 * @param weight [C]
 * @returns      [..., C]
 * @throws ShapeError when the shapes do not fit together; ArgumentError for an epsilon that is not above 0
 * Source: Zhang and Sennrich 2019, arXiv:1910.07467.
 */
export const rmsNorm = defineOp({
  name: 'rmsNorm',
  inputs: ['x', 'weight'],
  kinds: { weight: 'float32' },
  shape: ({ x, weight }, { epsilon }: NormOptions) => {
    checkNorm('rmsNorm', x, { weight }, epsilon)
    return { shape: x.shape }
  },
  extras: ({ x }) => ({ rstd: perRow(x) }),
  forward: (k, out, { x, weight }, { epsilon = defaultEpsilon }, { rstd }) =>
    k.rmsNorm(out, rstd, x, weight, epsilon),
  saves: ['x', 'weight', 'rstd'],
  backward: ({ k, grad, gradOf, saved: { x, weight, rstd } }) => {
    const dx = gradOf('x')
    const dweight = gradOf('weight')
    k.rmsNormBackward(dx, dweight, grad, x, weight, rstd)
    return { x: dx, weight: dweight }
  },
})
