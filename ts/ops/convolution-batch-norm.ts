/** Convolution and batch normalisation with the statistics of the batch, as in training. For use: fold-batch-norm.ts. */
import { ArgumentError, ShapeError, shapeText } from '../errors.js'
import { activeTape } from '../tape.js'
import {
  type ConvolutionOptions,
  convolutionNumbers,
  convolutionShape,
  expectDerivative,
} from './convolution.js'
import { defineOp, expectShape } from './define-op.js'

export interface ConvolutionBatchNormOptions extends ConvolutionOptions {
  /** Share of this batch in the running statistics, 0-1; 0.1 unless given. */
  readonly momentum?: number
  /** Added to the variance; 1e-5 unless given. */
  readonly epsilon?: number
}

const name = 'convolutionBatchNorm'

/**
 * y = x * weight; out = activation(gamma (y - mean y) / sqrt(var y + epsilon) + beta + residual), mean and variance
 * of each channel over the batch and all positions. Overwrites the running statistics:
 * running += momentum (of this batch - running), the variance unbiased.
 *
 * @param x           [B, H, W, C]; with groups = 1 channels beyond those of weight are ignored, and their gradient is 0
 * @param weight      [O, R, S, C / groups]
 * @param gamma       [O]
 * @param beta        [O]
 * @param runningMean [O] no gradient flows into it
 * @param runningVar  [O] no gradient flows into it
 * @param residual    [B, P, Q, O]
 * @returns           [B, P, Q, O]
 * @throws ShapeError when the shapes do not fit together, or there is but one value per channel
 * @throws ArgumentError for a wrong option, and when a gradient is wanted through gelu or silu with a residual
 * Source: Ioffe and Szegedy 2015, arXiv:1502.03167.
 */
export const convolutionBatchNorm = defineOp({
  name,
  inputs: ['x', 'weight', 'gamma', 'beta', 'runningMean', 'runningVar', 'residual?'],
  kinds: {
    weight: 'parameter',
    gamma: 'float32',
    beta: 'float32',
    runningMean: 'float32',
    runningVar: 'float32',
  },
  shape: (inputs, options: ConvolutionBatchNormOptions) => {
    const { x, weight, residual } = inputs
    const shape = convolutionShape(name, x, weight, options)
    for (const of of ['gamma', 'beta', 'runningMean', 'runningVar'] as const)
      expectShape(name, of, inputs[of], [shape[3]], `weight ${shapeText(weight.shape)}`)
    expectShape(name, 'residual', residual, shape, 'the output')
    if (shape[0] * shape[1] * shape[2] < 2)
      throw new ShapeError(
        `${name}: the output ${shapeText(shape)} has one value per channel; statistics of a batch need at ` +
          'least two. Use a larger batch or image',
      )
    const { momentum = 0.1, epsilon = 1e-5 } = options
    if (!(momentum >= 0 && momentum <= 1))
      throw new ArgumentError(`${name}: expected momentum from 0 to 1, received ${momentum}`)
    if (!(epsilon > 0))
      throw new ArgumentError(`${name}: expected epsilon to be above 0, received ${epsilon}`)
    const tape = activeTape()
    if (residual && tape && Object.values(inputs).some((input) => tape.tracks(input)))
      expectDerivative(`${name} with a residual`, options.activation)
    return { shape }
  },
  extras: ({ gamma }, _options, out) => ({
    y: { shape: out.shape },
    mean: { shape: gamma.shape, dtype: 'float32' as const },
    rstd: { shape: gamma.shape, dtype: 'float32' as const },
  }),
  forward: (
    k,
    out,
    { x, weight, gamma, beta, runningMean, runningVar, residual },
    options,
    { y, mean, rstd },
  ) =>
    k.convolutionBatchNorm(
      out,
      y,
      mean,
      rstd,
      runningMean,
      runningVar,
      x,
      weight,
      gamma,
      beta,
      residual,
      ...convolutionNumbers(x.shape, weight.shape, options),
      options.momentum ?? 0.1,
      options.epsilon ?? 1e-5,
    ),
  saves: ['x', 'weight', 'gamma', 'beta', 'y', 'mean', 'rstd', 'out'],
  backward: ({ k, grad, gradOf, saved, options, shapes }) => {
    const { x, weight, gamma, beta, y, mean, rstd, out } = saved
    const dx = gradOf('x')
    const dweight = gradOf('weight')
    const dgamma = gradOf('gamma')
    const dbeta = gradOf('beta')
    const plain = (options.activation ?? 'none') === 'none'
    const dresidual = plain ? undefined : gradOf('residual')
    const hadResidual = shapes.residual.length > 0
    k.convolutionBatchNormBackward(
      dx,
      dweight,
      dgamma,
      dbeta,
      dresidual,
      grad,
      hadResidual ? out : undefined,
      y,
      mean,
      rstd,
      x,
      weight,
      gamma,
      beta,
      ...convolutionNumbers(x.shape, weight.shape, options),
    )
    return {
      x: dx,
      weight: dweight,
      gamma: dgamma,
      beta: dbeta,
      residual: plain ? grad : dresidual,
    }
  },
})
