/** Sum of two tensors of one shape. */
import { defineOp, expectShape } from './define-op.js'

/**
 * out = a + b.
 *
 * @param a [...] any shape
 * @param b [...] like a
 * @throws ShapeError when the shapes differ
 */
export const add = defineOp({
  name: 'add',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => {
    expectShape('add', 'b', b, a.shape, 'a')
    return { shape: a.shape }
  },
  forward: (k, out, { a, b }) => k.add(out, a, b),
  backward: ({ grad }) => ({ a: grad, b: grad }),
})
