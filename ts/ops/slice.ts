/** Rows of a tensor: how one parameter serves several products (PyTorch's packed in_proj_weight). */
import { ArgumentError, shapeText } from '../errors.js'
import { view } from '../tensor.js'
import { defineOp } from './define-op.js'

/**
 * out = x[start .. end) along the first axis, of a parameter.
 *
 * @param x [R, ...]
 * @returns [end - start, ...]
 * @throws ArgumentError when the range leaves the first axis
 */
export const slice = defineOp({
  name: 'slice',
  inputs: ['x'],
  kinds: { x: 'parameter' },
  shape: ({ x }, { start, end }: { start: number; end: number }) => {
    const rows = x.shape[0] ?? 0
    if (!(start >= 0 && start < end && end <= rows))
      throw new ArgumentError(
        `slice: expected 0 <= start < end <= ${rows} for x ${shapeText(x.shape)}, received ${start} .. ${end}`,
      )
    return { shape: [end - start, ...x.shape.slice(1)] }
  },
  forward: (k, out, { x }, { start }) => {
    const rows = x.shape[0] ?? 1
    k.copy(out, view(x, out.shape, start * (x.size / rows)))
  },
  backward: ({ k, grad, gradOf, options: { start }, shapes }) => {
    const dx = gradOf('x')
    if (!dx) return {}
    k.fill(dx, 0)
    k.copy(view(dx, grad.shape, start * (dx.size / (shapes.x[0] ?? 1))), grad)
    return { x: dx }
  },
})
