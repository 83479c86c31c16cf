/** Linear layer with bias, activation and residual. */
import { argumentError, ShapeError, shapeText } from '../errors.js'
import { type Activation, activations } from '../kernels.js'
import { activeTape } from '../tape.js'
import type { Tensor } from '../tensor.js'
import { axes, defineOp, expectShape } from './define-op.js'

export interface LinearOptions {
  /** 'none' unless given. */
  readonly activation?: Activation
  /** float32 logits of bfloat16 inputs, without a residual and without a gradient; the dtype of x unless given. */
  readonly outDtype?: 'float32'
}

/**
 * out = activation(x weight^T + bias) + residual.
 *
 * @param x        [..., C]
 * @param weight   [O, C]
 * @param bias     [O]
 * @param residual [..., O]
 * @returns        [..., O]
 * @throws ShapeError when the shapes do not fit together; ArgumentError for an unknown activation
 * Source of gelu (with erf): Hendrycks and Gimpel 2016, arXiv:1606.08415.
 */
export const linear = defineOp({
  name: 'linear',
  inputs: ['x', 'weight', 'bias?', 'residual?'],
  kinds: { weight: 'parameter', bias: 'float32' },
  shape: ({ x, weight, bias, residual }, { activation = 'none', outDtype }: LinearOptions) => {
    if (!(activation in activations))
      throw argumentError(
        'linear',
        'activation',
        `one of ${Object.keys(activations).join(', ')}`,
        activation,
      )
    const outputs = productColumns('linear', x, weight)
    const shape = [...x.shape.slice(0, -1), outputs]
    expectShape('linear', 'bias', bias, [outputs], `weight ${shapeText(weight.shape)}`)
    expectShape('linear', 'residual', residual, shape, 'the output')
    if (outDtype && (residual || activeTape()?.tracks(x) || activeTape()?.tracks(weight)))
      throw argumentError('linear', 'outDtype', 'left out with a residual or a gradient', outDtype)
    return { shape, dtype: outDtype }
  },
  // The values before the activation; without one there is nothing to keep.
  extras: (_, { activation = 'none' }, { shape }) => ({
    pre: { shape: activation === 'none' ? [0] : shape },
  }),
  forward: (k, out, { x, weight, bias, residual }, { activation = 'none' }, { pre }) =>
    k.linear(
      out,
      activation === 'none' ? undefined : pre,
      x,
      weight,
      bias,
      residual,
      activations[activation],
    ),
  saves: ['x', 'weight', 'pre'],
  backward: ({ k, grad, gradOf, saved, options: { activation = 'none' } }) => {
    const dx = gradOf('x')
    const dweight = gradOf('weight')
    const dbias = gradOf('bias')
    k.linearBackward(
      dx,
      dweight,
      dbias,
      grad,
      saved.x,
      saved.weight,
      saved.pre,
      activations[activation],
    )
    return { x: dx, weight: dweight, bias: dbias, residual: grad }
  },
})

/** Columns of x weight^T. @throws ShapeError unless x [..., C] fits weight [O, C] */
export function productColumns(op: string, x: Tensor, weight: Tensor): number {
  const [outputs = 0, channels = 0] = axes(op, 'weight', weight, 2)
  if (x.shape.at(-1) !== channels)
    throw new ShapeError(
      `${op}: x is ${shapeText(x.shape)} and weight is ${shapeText(weight.shape)}; the last size of x must ` +
        `equal the second size of weight (${channels})`,
    )
  return outputs
}
