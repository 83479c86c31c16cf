/** Positions that turn pairs of channels (RoPE). */
import { argumentError, ShapeError } from '../errors.js'
import { axes, defineOp, expectShape } from './define-op.js'

export interface RotaryOptions {
  /** Channels of a head; even. */
  readonly size: number
  /** How many heads are turned, from the first column on; further columns stay as they are. */
  readonly heads: number
  /** Angles are position * theta^(-2 i / size) for the i-th pair of a head; 10000 unless given. */
  readonly theta?: number
}

/**
 * Columns 2 i and 2 i + 1 of each turned head, as a point of the plane, turned by position * theta^(-2 i / size): a
 * product of a query and a key then depends on the distance of their positions alone.
 *
 * @param x         [N, C], C >= heads * size
 * @param positions int32 [N]
 * @returns         [N, C]
 * @throws ShapeError when the heads do not fit into x; ArgumentError for a size that is not even, or theta not above 0
 * Source: Su et al. 2021, arXiv:2104.09864, section 3.4.2.
 */
export const rotary = defineOp({
  name: 'rotary',
  inputs: ['x', 'positions'],
  kinds: { positions: 'int32' },
  shape: ({ x, positions }, { size, heads, theta = defaultTheta }: RotaryOptions) => {
    const [rows = 0, columns = 0] = axes('rotary', 'x', x, 2)
    expectShape('rotary', 'positions', positions, [rows], 'the rows of x')
    if (!Number.isInteger(size) || size < 2 || size % 2 !== 0)
      throw argumentError('rotary', 'size', 'an even number >= 2', size)
    if (!Number.isInteger(heads) || heads < 1)
      throw argumentError('rotary', 'heads', 'an integer >= 1', heads)
    if (!(theta > 0)) throw argumentError('rotary', 'theta', 'a number above 0', theta)
    if (heads * size > columns)
      throw new ShapeError(
        `rotary: x has ${columns} columns; ${heads} heads of ${size} need ${heads * size}`,
      )
    return { shape: x.shape }
  },
  forward: (k, out, { x, positions }, { size, heads, theta = defaultTheta }) =>
    k.rotary(out, x, positions, size, heads * size, theta, false),
  saves: ['positions'],
  backward: ({ k, grad, gradOf, saved: { positions }, options }) => {
    const { size, heads, theta = defaultTheta } = options
    const dx = gradOf('x')
    if (dx) k.rotary(dx, grad, positions, size, heads * size, theta, true)
    return { x: dx }
  },
})

/** Of the paper, and of most models since. */
export const defaultTheta = 10_000
