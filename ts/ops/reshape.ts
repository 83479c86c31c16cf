/** Other sizes over the same elements. */
import { ShapeError, shapeText } from '../errors.js'
import { sizeOf, view } from '../tensor.js'
import { defineOp } from './define-op.js'

/**
 * out = x with another shape. Copies: tensors own their memory, and a copy of a map costs little beside making it.
 *
 * @param x [...] any shape
 * @throws ShapeError when the numbers of elements differ
 */
export const reshape = defineOp({
  name: 'reshape',
  inputs: ['x'],
  shape: ({ x }, { shape }: { shape: readonly number[] }) => {
    if (sizeOf(shape) !== x.size)
      throw new ShapeError(
        `reshape: x is ${shapeText(x.shape)}; ${shapeText(shape)} holds another number of elements`,
      )
    return { shape }
  },
  forward: (k, out, { x }) => k.copy(out, x),
  backward: ({ grad, shapes }) => ({ x: view(grad, shapes.x) }),
})
