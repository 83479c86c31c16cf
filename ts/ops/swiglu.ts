/** A gated activation: one half of the channels decides how much of the other passes. */
import { ShapeError } from '../errors.js'
import { defineOp } from './define-op.js'

/**
 * out = silu(gate) * value, where x is gate and value side by side.
 *
 * @param x [..., 2F] columns gate | value
 * @returns [..., F]
 * @throws ShapeError when x has an odd number of columns
 * Source: Shazeer 2020, arXiv:2002.05202.
 */
export const swiglu = defineOp({
  name: 'swiglu',
  inputs: ['x'],
  shape: ({ x }) => {
    const columns = x.shape.at(-1) ?? 0
    if (columns === 0 || columns % 2 !== 0)
      throw new ShapeError(
        `swiglu: x has ${columns} columns; they must be an even number, gate and value side by side`,
      )
    return { shape: [...x.shape.slice(0, -1), columns / 2] }
  },
  forward: (k, out, { x }) => k.swiglu(out, x),
  saves: ['x'],
  backward: ({ k, grad, gradOf, saved: { x } }) => {
    const dx = gradOf('x')
    if (dx) k.swigluBackward(dx, grad, x)
    return { x: dx }
  },
})
