/** The loss of every token by itself, for evaluation. */
import { defineOp } from './define-op.js'
import {
  type CrossEntropyOptions,
  checkCrossEntropy,
  crossEntropyNumbers,
} from './linear-cross-entropy.js'

/**
 * out[n] = cross-entropy(softmax(x[n] weight^T + bias), targets[n]) in nats, 0 where the target is ignoreIndex.
 * With the extra `rank`, int32 like targets: how many classes have a larger logit than the target (0: the best guess
 * is right; -1 where ignored). It has no gradient.
 *
 * @param x       [..., C]
 * @param weight  [V, C]
 * @param bias    [V]
 * @param targets int32 [...]: class of each token, 0 to V - 1, or ignoreIndex
 * @returns       float32, shaped like targets
 * @throws ShapeError when the shapes do not fit together; ArgumentError for bad options, and, once the device gets
 *   there, for targets out of range
 */
export const tokenLoss = defineOp({
  name: 'tokenLoss',
  inputs: ['x', 'weight', 'bias?', 'targets'],
  kinds: { weight: 'parameter', bias: 'float32', targets: 'int32' },
  shape: ({ x, weight, bias, targets }, options: CrossEntropyOptions) => {
    checkCrossEntropy('tokenLoss', x, weight, bias, targets, options)
    return { shape: targets.shape, dtype: 'float32' as const }
  },
  extras: ({ targets }) => ({ rank: { shape: targets.shape, dtype: 'int32' as const } }),
  forward: (k, out, { x, weight, bias, targets }, options, { rank }) =>
    k.linearCrossEntropy(
      undefined,
      out,
      rank,
      undefined,
      undefined,
      undefined,
      x,
      weight,
      bias,
      targets,
      undefined,
      undefined,
      ...crossEntropyNumbers(options),
    ),
})
