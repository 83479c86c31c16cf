/** What an attending LSTM pays for image cells that a caption never looks at, or looks at all the time. */
import { argumentError } from '../errors.js'
import { empty } from '../tensor.js'
import { checkOffsets } from './attention-inputs.js'
import { axes, defineOp, expectShape } from './define-op.js'

export interface AttentionPenaltyOptions {
  readonly scale: number
  /** Tokens with this target count for nothing, nor do captions of nothing else; -100 unless given. */
  readonly ignoreIndex?: number
}

/**
 * out = scale share mean over captions and cells of (1 - sum over a caption's tokens of alpha)^2.
 *
 * @param alpha       [N, S] shares of S image cells, captions packed one after another
 * @param offsets     int32 [R + 1]: caption r is tokens offsets[r] .. offsets[r + 1]; from 0 to N
 * @param targets     int32 [N]
 * @param denominator [1]: share = tokens that count / denominator, so that the penalties of batches whose gradients are
 *   accumulated add up to a mean
 * @returns           [1] float32
 * @throws ShapeError when the shapes do not fit together; ArgumentError for bad options
 * Source: Xu et al. 2015, arXiv:1502.03044, section 4.2.1 (doubly stochastic attention).
 */
export const attentionPenalty = defineOp({
  name: 'attentionPenalty',
  inputs: ['alpha', 'offsets', 'targets', 'denominator'],
  kinds: { offsets: 'int32', targets: 'int32', denominator: 'float32' },
  shape: ({ alpha, offsets, targets, denominator }, options: AttentionPenaltyOptions) => {
    const [tokens = 0] = axes('attentionPenalty', 'alpha', alpha, 2)
    checkOffsets('attentionPenalty', 'offsets', offsets)
    expectShape('attentionPenalty', 'targets', targets, [tokens], 'the rows of alpha')
    expectShape('attentionPenalty', 'denominator', denominator, [1], 'one penalty')
    if (!Number.isFinite(options.scale))
      throw argumentError('attentionPenalty', 'scale', 'a number', options.scale)
    if (!Number.isInteger(options.ignoreIndex ?? 0))
      throw argumentError('attentionPenalty', 'ignoreIndex', 'an integer', options.ignoreIndex)
    return { shape: [1], dtype: 'float32' as const }
  },
  extras: ({ alpha, offsets }) => ({
    sums: { shape: [(offsets.shape[0] ?? 1) - 1, alpha.shape[1] ?? 0], dtype: 'float32' as const },
    factor: { shape: [1], dtype: 'float32' as const },
  }),
  forward: (k, out, inputs, { scale, ignoreIndex = -100 }, extras) => {
    const { alpha, offsets, targets, denominator } = inputs
    const rows = (offsets.shape[0] ?? 1) - 1
    const sums = extras.sums ?? empty([rows, alpha.shape[1] ?? 0], 'float32', alpha.device)
    const factor = extras.factor ?? empty([1], 'float32', alpha.device)
    k.attentionPenalty(out, sums, factor, alpha, offsets, targets, denominator, ignoreIndex, scale)
  },
  saves: ['sums', 'factor', 'offsets', 'targets'],
  backward: ({ k, grad, gradOf, saved, options: { ignoreIndex = -100 } }) => {
    const { sums, factor, offsets, targets } = saved
    const dalpha = gradOf('alpha')
    if (dalpha)
      k.attentionPenaltyBackward(dalpha, grad, sums, factor, offsets, targets, ignoreIndex)
    return { alpha: dalpha }
  },
})
