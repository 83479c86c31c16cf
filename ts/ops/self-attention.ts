/** Attention of packed rows of tokens to themselves. */
import {
  checkCount,
  checkDropout,
  checkHeads,
  checkOffsets,
  columnParts,
} from './attention-inputs.js'
import { axes, defineOp } from './define-op.js'

export interface SelfAttentionOptions {
  readonly heads: number
  /** Whether a token sees only itself and those before it in its row. */
  readonly causal: boolean
  /** Tokens of the longest row. */
  readonly maxLength: number
  /** Probability to drop an attention weight, 0 unless given. */
  readonly probability?: number
  /** Which call site of the model this is, for its random numbers. */
  readonly tag?: number
}

/**
 * Multi-head attention of each row of tokens to itself: out = dropout(softmax(q k^T / sqrt(C / heads))) v per head.
 *
 * @param qkv     [N, 3C] columns q | k | v, each of `heads` parts; rows of tokens packed one after another
 * @param offsets int32 [R + 1]: row r is tokens offsets[r] .. offsets[r + 1]; from 0 to N
 * @param rng     int32 [3] seed and step; needed when probability > 0
 * @returns       [N, C]
 * @throws ShapeError when qkv's columns do not split into 3 x heads; ArgumentError for bad options
 * Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; memory: Dao et al. 2022, arXiv:2205.14135.
 */
export const selfAttention = defineOp({
  name: 'selfAttention',
  inputs: ['qkv', 'offsets', 'rng?'],
  kinds: { offsets: 'int32', rng: 'int32' },
  shape: ({ qkv, offsets, rng }, options: SelfAttentionOptions) => {
    const [tokens = 0, columns = 0] = axes('selfAttention', 'qkv', qkv, 2)
    checkHeads('selfAttention', 'qkv', columns, 3, options.heads)
    checkOffsets('selfAttention', 'offsets', offsets)
    checkCount('selfAttention', 'maxLength', options.maxLength)
    checkDropout('selfAttention', options.probability, rng)
    return { shape: [tokens, columns / 3] }
  },
  extras: ({ qkv }, { heads }: SelfAttentionOptions) => ({
    logSumExp: { shape: [heads, qkv.shape[0] ?? 0], dtype: 'float32' as const },
  }),
  forward: (k, out, { qkv, offsets, rng }, options, { logSumExp }) =>
    k.attention(out, logSumExp, ...columnParts(qkv, 3), offsets, offsets, rng, ...scalars(options)),
  saves: ['qkv', 'offsets', 'rng', 'out', 'logSumExp'],
  backward: ({ k, grad, gradOf, saved, options }) => {
    const dqkv = gradOf('qkv')
    if (!dqkv) return {}
    const { qkv, offsets, rng, out, logSumExp } = saved
    k.attentionBackward(
      ...columnParts(dqkv, 3),
      grad,
      out,
      logSumExp,
      ...columnParts(qkv, 3),
      offsets,
      offsets,
      rng,
      ...scalars(options),
    )
    return { qkv: dqkv }
  },
})

/** The kernel's last arguments, from `heads` on. */
function scalars(options: SelfAttentionOptions) {
  const { heads, causal, maxLength, probability = 0, tag = 0 } = options
  return [heads, 1, causal, probability, tag, maxLength, maxLength] as const
}
