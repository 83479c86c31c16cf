/** Average over windows, or over the whole map. */
import { axes, defineOp } from './define-op.js'
import { type PoolOptions, poolShape } from './max-pool.js'

/**
 * out = the average of x over each window, padding not counted; over the whole map when no size is given.
 *
 * @param x [B, H, W, C]
 * @returns [B, P, Q, C], sizes as of maxPool; [B, 1, 1, C] over the whole map
 * @throws ShapeError when the window does not fit
 * @throws ArgumentError for a wrong option
 */
export const averagePool = defineOp({
  name: 'averagePool',
  inputs: ['x'],
  shape: ({ x }, { size, ...others }: Partial<PoolOptions>) => {
    const [B = 0, , , C = 0] = axes('averagePool', 'x', x, 4)
    if (size === undefined) return { shape: [B, 1, 1, C] }
    return { shape: poolShape('averagePool', x, { size, ...others }) }
  },
  forward: (k, out, { x }, options) => k.averagePool(out, x, ...windowOf(x.shape, options)),
  backward: ({ k, grad, gradOf, shapes, options }) => {
    const dx = gradOf('x')
    if (dx) k.averagePoolBackward(dx, grad, ...windowOf(shapes.x, options))
    return { x: dx }
  },
})

/** The kernels cut windows at the map's edge, so one as long as the longer side covers the whole map. */
function windowOf(
  [, height = 0, width = 0]: readonly number[],
  { size, stride = size ?? 1, padding = 0 }: Partial<PoolOptions>,
): [size: number, stride: number, padding: number] {
  return size === undefined ? [Math.max(height, width), 1, 0] : [size, stride, padding]
}
