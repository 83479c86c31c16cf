/** Where the queries of cross-attention look: for pictures, not for training. */
import { columnParts } from './attention-inputs.js'
import { type CrossAttentionOptions, checkCrossAttention } from './cross-attention.js'
import { defineOp } from './define-op.js'

/**
 * The probabilities softmax(q k^T / sqrt(C / heads)) of crossAttention as the mean over its heads, without dropout.
 * Inputs and options are those of crossAttention.
 *
 * @param q            [N, C]
 * @param kv           [M, 2C] columns k | v; v does not matter
 * @param queryOffsets int32 [R + 1]
 * @param keyOffsets   int32 [R / rowsPerKey + 1]
 * @returns            [N, maxKeys] float32, in the order of each row's keys; 0 beyond them
 * @throws ShapeError and ArgumentError as crossAttention
 */
export const attentionWeights = defineOp({
  name: 'attentionWeights',
  inputs: ['q', 'kv', 'queryOffsets', 'keyOffsets'],
  kinds: { queryOffsets: 'int32', keyOffsets: 'int32' },
  shape: (inputs, options: Omit<CrossAttentionOptions, 'probability' | 'tag'>) => {
    const [queries = 0] = checkCrossAttention('attentionWeights', inputs, options)
    return { shape: [queries, options.maxKeys], dtype: 'float32' as const }
  },
  forward: (k, out, { q, kv, queryOffsets, keyOffsets }, options) => {
    const { heads, rowsPerKey, maxQueries, maxKeys } = options
    const [keys] = columnParts(kv, 2)
    k.attentionWeights(
      out,
      q,
      keys,
      queryOffsets,
      keyOffsets,
      heads,
      rowsPerKey,
      maxQueries,
      maxKeys,
    )
  },
})
