/** The tokens of a vision transformer: a class token, then the patches, with positions. */
import { ShapeError, shapeText } from '../errors.js'
import { sizeOf, view } from '../tensor.js'
import { axes, defineOp } from './define-op.js'

/**
 * For each image b: out[b, 0] = first + positions[0]; out[b, 1 + i] = x[b, i] + positions[1 + i], patches row by row.
 *
 * @param x         [B, H, W, C]
 * @param first     [..., C], one row: the class token
 * @param positions [..., 1 + H W, C], one for each token
 * @returns         [B (1 + H W), C], as attention takes rows of tokens
 * @throws ShapeError when the shapes do not fit together
 * Source: Dosovitskiy et al. 2020, arXiv:2010.11929, equation 1.
 */
export const imageTokens = defineOp({
  name: 'imageTokens',
  inputs: ['x', 'first', 'positions'],
  kinds: { first: 'parameter', positions: 'parameter' },
  shape: ({ x, first, positions }) => {
    const [B = 0, H = 0, W = 0, C = 0] = axes('imageTokens', 'x', x, 4)
    const expectRows = (name: string, shape: readonly number[], rows: number) => {
      const whole = [...shape.slice(0, -2).map(() => 1), ...[rows, C].slice(-shape.length)]
      if (sizeOf(shape) !== rows * C || shape.some((size, i) => size !== whole[i]))
        throw new ShapeError(
          `imageTokens: ${name} is ${shapeText(shape)}; it must hold ${rows} x ${C} numbers to fit x ` +
            shapeText(x.shape),
        )
    }
    expectRows('first', first.shape, 1)
    expectRows('positions', positions.shape, 1 + H * W)
    return { shape: [B * (1 + H * W), C] }
  },
  forward: (k, out, { x, first, positions }) =>
    k.imageTokens(view(out, tokensOf(x.shape)), x, first, positions),
  backward: ({ k, grad, gradOf, shapes }) => {
    const dx = gradOf('x')
    const dfirst = gradOf('first')
    const dpositions = gradOf('positions')
    k.imageTokensBackward(dx, dfirst, dpositions, view(grad, tokensOf(shapes.x)))
    return { x: dx, first: dfirst, positions: dpositions }
  },
})

/** [B, 1 + H W, C] of a map [B, H, W, C]. */
function tokensOf([B = 0, H = 0, W = 0, C = 0]: readonly number[]): readonly number[] {
  return [B, 1 + H * W, C]
}
