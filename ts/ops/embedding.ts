/** Token embedding with positions. */
import { argumentError, ShapeError } from '../errors.js'
import { axes, defineOp, expectShape } from './define-op.js'

export interface EmbeddingOptions {
  /** Factor of the tokens' rows; 1 unless given. */
  readonly scale?: number
}

/**
 * out[n] = scale * tokenWeight[tokens[n]] + positionWeight[positions[n]].
 *
 * @param tokens         int32 [...], each from 0 to V - 1
 * @param positions      int32 like tokens, each from 0 to T - 1; together with positionWeight or not at all
 * @param tokenWeight    [V, C]
 * @param positionWeight [T, C]
 * @returns              [..., C]
 * @throws ShapeError when the shapes do not fit together; ArgumentError for a scale that is not finite, and, once the
 *   device gets there, for ids outside the tables
 */
export const embedding = defineOp({
  name: 'embedding',
  inputs: ['tokens', 'positions?', 'tokenWeight', 'positionWeight?'],
  kinds: {
    tokens: 'int32',
    positions: 'int32',
    tokenWeight: 'parameter',
    positionWeight: 'parameter',
  },
  shape: (inputs, { scale = 1 }: EmbeddingOptions) => {
    const { tokens, positions, tokenWeight, positionWeight } = inputs
    const [, channels = 0] = axes('embedding', 'tokenWeight', tokenWeight, 2)
    if ((positions === undefined) !== (positionWeight === undefined))
      throw new ShapeError(
        `embedding: input ${positions ? 'positionWeight' : 'positions'} is missing; ` +
          'positions and positionWeight come together',
      )
    expectShape('embedding', 'positions', positions, tokens.shape, 'tokens')
    if (positionWeight) {
      const [places = 0] = axes('embedding', 'positionWeight', positionWeight, 2)
      expectShape(
        'embedding',
        'positionWeight',
        positionWeight,
        [places, channels],
        'the columns of tokenWeight',
      )
    }
    if (!Number.isFinite(scale)) throw argumentError('embedding', 'scale', 'a finite number', scale)
    return { shape: [...tokens.shape, channels] }
  },
  forward: (k, out, { tokens, positions, tokenWeight, positionWeight }, { scale = 1 }) =>
    k.embedding(out, tokens, positions, tokenWeight, positionWeight, scale),
  saves: ['tokens', 'positions'],
  backward: ({ k, grad, gradOf, saved: { tokens, positions }, options: { scale = 1 } }) => {
    const dtokenWeight = gradOf('tokenWeight')
    const dpositionWeight = gradOf('positionWeight')
    k.embeddingBackward(dtokenWeight, dpositionWeight, grad, tokens, positions, scale)
    return { tokenWeight: dtokenWeight, positionWeight: dpositionWeight }
  },
})
