/** A run of elements of an activation: how an op gives several outputs in one. */
import { ArgumentError, shapeText } from '../errors.js'
import { sizeOf, view } from '../tensor.js'
import { defineOp } from './define-op.js'

export interface SectionOptions {
  /** Element of x at which the section begins. */
  readonly start: number
  readonly shape: readonly number[]
}

/**
 * out = the elements of x from `start` on, as many as `shape` has. Of a parameter take `slice`.
 *
 * @param x [...] any shape
 * @throws ArgumentError when the section leaves x
 */
export const section = defineOp({
  name: 'section',
  inputs: ['x'],
  shape: ({ x }, { start, shape }: SectionOptions) => {
    if (!(Number.isInteger(start) && start >= 0 && start + sizeOf(shape) <= x.size))
      throw new ArgumentError(
        `section: ${shapeText(shape)} from element ${start} on does not lie in x ${shapeText(x.shape)}`,
      )
    return { shape }
  },
  forward: (k, out, { x }, { start }) => k.copy(out, view(x, out.shape, start)),
  backward: ({ k, grad, gradOf, options: { start } }) => {
    const dx = gradOf('x')
    if (!dx) return {}
    k.fill(dx, 0)
    k.copy(view(dx, grad.shape, start), grad)
    return { x: dx }
  },
})
