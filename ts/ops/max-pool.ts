/** Maximum over windows; and the shape rule of both poolings. */
import { ArgumentError } from '../errors.js'
import type { Tensor } from '../tensor.js'
import { axes, defineOp } from './define-op.js'
import { placesOf } from './padding.js'

export interface PoolOptions {
  /** Height and width of the window. */
  readonly size: number
  /** Rows and columns between two windows; `size` unless given. */
  readonly stride?: number
  /** Rows and columns around the image that no window counts, at most half of `size`; 0 unless given. */
  readonly padding?: number
}

/**
 * out = the maximum of x over each window. The gradient goes to the first maximum of a window.
 *
 * @param x [B, H, W, C]
 * @returns [B, P, Q, C], P = floor((H + 2 padding - size) / stride) + 1, Q alike
 * @throws ShapeError when the window does not fit
 * @throws ArgumentError for a wrong option
 */
export const maxPool = defineOp({
  name: 'maxPool',
  inputs: ['x'],
  shape: ({ x }, options: PoolOptions) => ({ shape: poolShape('maxPool', x, options) }),
  forward: (k, out, { x }, { size, stride = size, padding = 0 }) =>
    k.maxPool(out, x, size, stride, padding),
  saves: ['x', 'out'],
  backward: ({
    k,
    grad,
    gradOf,
    saved: { x, out },
    options: { size, stride = size, padding = 0 },
  }) => {
    const dx = gradOf('x')
    if (dx) k.maxPoolBackward(dx, grad, x, out, size, stride, padding)
    return { x: dx }
  },
})

/** The output's shape. @throws ShapeError, ArgumentError */
export function poolShape(op: string, x: Tensor, options: PoolOptions): readonly number[] {
  const { size, stride = size, padding = 0 } = options
  const [B = 0, , , C = 0] = axes(op, 'x', x, 4)
  if (!(Number.isInteger(size) && size >= 1))
    throw new ArgumentError(`${op}: expected size to be an integer of at least 1, received ${size}`)
  const { height, width } = placesOf(op, x.shape, [size, size], stride, padding)
  if (padding * 2 > size)
    throw new ArgumentError(
      `${op}: expected padding to be at most half of size ${size}, received ${padding}`,
    )
  return [B, height, width, C]
}
