/** Batch normalisation with running statistics, folded into the weights of the convolution before it. */
import { shapeText } from '../errors.js'
import { axes, defineOp, expectShape } from './define-op.js'

/**
 * out = weight gamma / sqrt(runningVar + epsilon) and bias = beta - runningMean gamma / sqrt(runningVar + epsilon), per
 * output channel: the convolution with them equals convolution, then normalisation. `withExtras` gives both.
 *
 * @param weight      [O, R, S, C / groups]
 * @param gamma       [O]
 * @param beta        [O]
 * @param runningMean [O]
 * @param runningVar  [O]
 * @returns           out [O, R, S, C / groups], bias [O]
 * @throws ShapeError when the shapes do not fit together
 * @example
 * const { out: weight, bias } = foldBatchNorm.withExtras(params)
 */
export const foldBatchNorm = defineOp({
  name: 'foldBatchNorm',
  inputs: ['weight', 'gamma', 'beta', 'runningMean', 'runningVar'],
  kinds: {
    weight: 'parameter',
    gamma: 'float32',
    beta: 'float32',
    runningMean: 'float32',
    runningVar: 'float32',
  },
  shape: (inputs, _options: { epsilon?: number }) => {
    const [O = 0] = axes('foldBatchNorm', 'weight', inputs.weight, 4)
    for (const of of ['gamma', 'beta', 'runningMean', 'runningVar'] as const)
      expectShape('foldBatchNorm', of, inputs[of], [O], `weight ${shapeText(inputs.weight.shape)}`)
    return { shape: inputs.weight.shape }
  },
  extras: ({ gamma }) => ({ bias: { shape: gamma.shape, dtype: 'float32' as const } }),
  forward: (
    k,
    out,
    { weight, gamma, beta, runningMean, runningVar },
    { epsilon = 1e-5 },
    { bias },
  ) => k.foldBatchNorm(out, bias, weight, gamma, beta, runningMean, runningVar, epsilon),
})
