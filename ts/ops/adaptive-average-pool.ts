/** Average over bins that share a map out evenly: a map of another size, or the whole map as one cell. */
import { argumentError } from '../errors.js'
import { axes, defineOp } from './define-op.js'

export interface AdaptivePoolOptions {
  /** Height and width of the output; one cell unless given. */
  readonly size?: readonly [height: number, width: number]
}

/**
 * out[p, q] = the average of rows floor(p H / P) up to ceil((p + 1) H / P) of x and columns alike, as PyTorch's
 * AdaptiveAvgPool2d. Bins overlap where P does not divide H; where P > H, cells are repeated or averaged.
 *
 * @param x [B, H, W, C]
 * @returns [B, P, Q, C]
 * @throws ShapeError when x has not four axes; ArgumentError for sizes that are no whole numbers of at least 1
 */
export const adaptiveAveragePool = defineOp({
  name: 'adaptiveAveragePool',
  inputs: ['x'],
  shape: ({ x }, { size = [1, 1] }: AdaptivePoolOptions) => {
    const [B = 0, , , C = 0] = axes('adaptiveAveragePool', 'x', x, 4)
    if (!(size.length === 2 && size.every((n) => Number.isInteger(n) && n >= 1)))
      throw argumentError('adaptiveAveragePool', 'size', 'two integers of at least 1', size)
    return { shape: [B, ...size, C] }
  },
  forward: (k, out, { x }) => k.adaptiveAveragePool(out, x),
  backward: ({ k, grad, gradOf }) => {
    const dx = gradOf('x')
    if (dx) k.adaptiveAveragePoolBackward(dx, grad)
    return { x: dx }
  },
})
