/** A weighted sum of all elements: the plainest way from any tensor to one number. */
import { view } from '../tensor.js'
import { defineOp, expectShape } from './define-op.js'

/**
 * out = sum of x * weights.
 *
 * @param x       [...] any shape
 * @param weights [...] like x; a constant (no gradient flows into it)
 * @returns       [1] float32
 * @throws ShapeError when the shapes differ
 */
export const weightedSum = defineOp({
  name: 'weightedSum',
  inputs: ['x', 'weights'],
  shape: ({ x, weights }) => {
    expectShape('weightedSum', 'weights', weights, x.shape, 'x')
    return { shape: [1], dtype: 'float32' as const }
  },
  forward: (k, out, { x, weights }) =>
    k.linear(
      view(out, [1, 1]),
      undefined,
      view(x, [1, x.size]),
      view(weights, [1, x.size]),
      undefined,
      undefined,
      0,
    ),
  saves: ['weights'],
  backward: ({ k, grad, gradOf, saved }) => {
    const dx = gradOf('x')
    if (dx) k.multiply(dx, saved.weights, grad)
    return { x: dx }
  },
})
