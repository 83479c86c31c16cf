/** Dropout, with the sum that follows it in a residual branch. */
import { argumentError } from '../errors.js'
import { checkDropout } from './attention-inputs.js'
import { defineOp, expectShape } from './define-op.js'

export interface DropoutOptions {
  /** Probability that an element is dropped, from 0 to below 1; rounded to 1 / 65536. */
  readonly probability: number
  /** Which call site of the model this is: sites with equal tags drop the same elements. */
  readonly tag: number
}

/**
 * out = residual + x * mask / (1 - probability), each element of the mask 0 with the given probability, else 1.
 * The mask is a function of (seed, step, tag, index of the element) alone; the backward pass makes it again.
 *
 * @param x        [...] any shape
 * @param residual [...] like x
 * @param rng      int32 [3]: seed (low, high), step; must not change before the backward pass
 * @returns        [...] like x
 * @throws ShapeError when the shapes differ; ArgumentError for a probability or tag out of range
 * Source: Srivastava et al. 2014, JMLR 15; the generator: cpu/random.h.
 */
export const dropout = defineOp({
  name: 'dropout',
  inputs: ['x', 'residual?', 'rng'],
  kinds: { rng: 'int32' },
  shape: ({ x, residual, rng }, { probability, tag }: DropoutOptions) => {
    checkDropout('dropout', probability, rng)
    if (!(Number.isInteger(tag) && tag >= 0 && tag < 2 ** 31))
      throw argumentError('dropout', 'tag', 'an integer from 0 to 2^31 - 1', tag)
    expectShape('dropout', 'residual', residual, x.shape, 'x')
    return { shape: x.shape }
  },
  forward: (k, out, { x, residual, rng }, { probability, tag }) =>
    k.dropout(out, x, residual, rng, probability, tag),
  saves: ['rng'],
  backward: ({ k, grad, gradOf, saved: { rng }, options: { probability, tag } }) => {
    const dx = gradOf('x')
    if (dx) k.dropout(dx, grad, undefined, rng, probability, tag)
    return { x: dx, residual: grad }
  },
})
