/** Attention of packed rows of queries to the keys of the image that each row belongs to. */
import { argumentError, ShapeError, shapeText } from '../errors.js'
import { empty, type Tensor } from '../tensor.js'
import {
  checkCount,
  checkDropout,
  checkHeads,
  checkOffsets,
  columnParts,
} from './attention-inputs.js'
import { axes, defineOp } from './define-op.js'

export interface CrossAttentionOptions {
  readonly heads: number
  /** Rows that look at the same keys: the captions of one image, side by side. */
  readonly rowsPerKey: number
  /** Queries of the longest row. */
  readonly maxQueries: number
  /** Most keys that a row looks at. */
  readonly maxKeys: number
  /** Probability to drop an attention weight, 0 unless given. */
  readonly probability?: number
  /** Which call site of the model this is, for its random numbers. */
  readonly tag?: number
}

/**
 * Multi-head attention: out = dropout(softmax(q k^T / sqrt(C / heads))) v per head, 0 where a row has no keys.
 *
 * @param q            [N, C] queries, rows packed one after another
 * @param kv           [M, 2C] columns k | v
 * @param queryOffsets int32 [R + 1]: row r is queries queryOffsets[r] .. queryOffsets[r + 1]; from 0 to N
 * @param keyOffsets   int32 [R / rowsPerKey + 1]: row r sees the keys from keyOffsets[g] to keyOffsets[g + 1] with
 *                     g = floor(r / rowsPerKey); from 0 to M
 * @param rng          int32 [3] seed and step; needed when probability > 0
 * @returns            [N, C]
 * @throws ShapeError when kv or the offsets do not fit q and rowsPerKey; ArgumentError for bad options
 * Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; memory: Dao et al. 2022, arXiv:2205.14135.
 */
export const crossAttention = defineOp({
  name: 'crossAttention',
  inputs: ['q', 'kv', 'queryOffsets', 'keyOffsets', 'rng?'],
  kinds: { queryOffsets: 'int32', keyOffsets: 'int32', rng: 'int32' },
  shape: ({ rng, ...inputs }, options: CrossAttentionOptions) => {
    checkDropout('crossAttention', options.probability, rng)
    return { shape: checkCrossAttention('crossAttention', inputs, options) }
  },
  extras: ({ q }, { heads }) => ({
    logSumExp: { shape: [heads, q.shape[0] ?? 0], dtype: 'float32' as const },
  }),
  forward: (k, out, { q, kv, queryOffsets, keyOffsets, rng }, options, { logSumExp }) =>
    k.attention(
      out,
      logSumExp,
      q,
      ...columnParts(kv, 2),
      queryOffsets,
      keyOffsets,
      rng,
      ...scalars(options),
    ),
  saves: ['q', 'kv', 'queryOffsets', 'keyOffsets', 'rng', 'out', 'logSumExp'],
  backward: ({ k, device, grad, gradOf, saved, options }) => {
    const { q, kv, queryOffsets, keyOffsets, rng, out, logSumExp } = saved
    // The kernel gives both; the one that nobody asked for ends with the scope.
    const dq = gradOf('q') ?? empty(q.shape, q.dtype, device)
    const dkv = gradOf('kv') ?? empty(kv.shape, kv.dtype, device)
    k.attentionBackward(
      dq,
      ...columnParts(dkv, 2),
      grad,
      out,
      logSumExp,
      q,
      ...columnParts(kv, 2),
      queryOffsets,
      keyOffsets,
      rng,
      ...scalars(options),
    )
    return { q: dq, kv: dkv }
  },
})

/** The shape of q. @throws ShapeError, ArgumentError */
export function checkCrossAttention(
  op: string,
  { q, kv, queryOffsets, keyOffsets }: Readonly<Record<KeyedInput, Tensor>>,
  options: Omit<CrossAttentionOptions, 'probability' | 'tag'>,
): readonly number[] {
  const [, columns = 0] = axes(op, 'q', q, 2)
  checkHeads(op, 'q', columns, 1, options.heads)
  if (axes(op, 'kv', kv, 2)[1] !== 2 * columns)
    throw new ShapeError(
      `${op}: kv is ${shapeText(kv.shape)} and q is ${shapeText(q.shape)}; ` +
        `kv must have twice the columns of q (${2 * columns})`,
    )
  for (const name of ['rowsPerKey', 'maxQueries', 'maxKeys'] as const)
    checkCount(op, name, options[name])
  const rows = checkOffsets(op, 'queryOffsets', queryOffsets)
  const groups = checkOffsets(op, 'keyOffsets', keyOffsets)
  if (rows !== groups * options.rowsPerKey)
    throw argumentError(
      op,
      'rowsPerKey',
      `${rows} rows / ${groups} sets of keys`,
      options.rowsPerKey,
    )
  return q.shape
}

type KeyedInput = 'q' | 'kv' | 'queryOffsets' | 'keyOffsets'

/** The kernel's last arguments, from `heads` on. */
function scalars(options: CrossAttentionOptions) {
  const { heads, rowsPerKey, maxQueries, maxKeys, probability = 0, tag = 0 } = options
  return [heads, rowsPerKey, false, probability, tag, maxQueries, maxKeys] as const
}
