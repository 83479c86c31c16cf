/** A learned factor for each channel, with the sum that follows it in a residual branch. */
import { axes, defineOp, expectShape } from './define-op.js'

/**
 * out = x * scale + residual, the factors along the last axis.
 *
 * @param x        [..., C]
 * @param scale    [C]
 * @param residual [..., C]
 * @returns        [..., C]
 * @throws ShapeError when the shapes do not fit together
 * Source: LayerScale, Touvron et al. 2021, arXiv:2103.17239, section 3.
 */
export const layerScale = defineOp({
  name: 'layerScale',
  inputs: ['x', 'scale', 'residual?'],
  kinds: { scale: 'float32' },
  shape: ({ x, scale, residual }) => {
    axes('layerScale', 'scale', scale, 1)
    expectShape('layerScale', 'scale', scale, x.shape.slice(-1), 'the last axis of x')
    expectShape('layerScale', 'residual', residual, x.shape, 'x')
    return { shape: x.shape }
  },
  forward: (k, out, { x, scale, residual }) => k.layerScale(out, x, scale, residual),
  saves: ['x', 'scale'],
  backward: ({ k, grad, gradOf, saved: { x, scale } }) => {
    const dx = gradOf('x')
    const dscale = gradOf('scale')
    if (dx || dscale) k.layerScaleBackward(dx, dscale, grad, x, scale)
    return { x: dx, scale: dscale, residual: grad }
  },
})
