/** Both ends of a transformer decoder: words as vectors with their positions, and the loss of the words to come. */
import { embedding } from '../../ops/embedding.js'
import { linearCrossEntropy } from '../../ops/linear-cross-entropy.js'
import { tokenLoss } from '../../ops/token-loss.js'
import { type Tensor, tensor } from '../../tensor.js'
import type { LossOptions, PackedCaptions } from './decoder.js'

/** Weight [V, C] and bias [V] of the layer that gives logits. */
export interface Classifier {
  readonly weight: Tensor
  readonly bias: Tensor
}

/**
 * sqrt(C) times the words' vectors, plus their positions' (Vaswani et al. 2017, section 3.4): [N, C].
 * @param table [T, C]; absent where positions enter otherwise
 */
export function embedWords(
  weight: Tensor,
  tokens: Tensor,
  positions: Tensor,
  table: Tensor | undefined,
): Tensor {
  return embedding(
    { tokens, tokenWeight: weight, ...(table ? { positions, positionWeight: table } : {}) },
    { scale: Math.sqrt(weight.shape[1] ?? 1) },
  )
}

/** int32 [count], each `position`. */
export function samePosition(count: number, position: number, like: Tensor): Tensor {
  return tensor(new Int32Array(count).fill(position), [count], like.device)
}

/** Mean cross-entropy [1] of packed captions from their hidden states x [N, C]. */
export function captionLoss(
  x: Tensor,
  head: Classifier,
  { targets, weights, denominator }: PackedCaptions,
  options: LossOptions,
): Tensor {
  return linearCrossEntropy({ x, ...head, targets, tokenWeights: weights, denominator }, options)
}

/** Cross-entropy [N] and rank int32 [N] of each word. */
export function captionTokenLosses(x: Tensor, head: Classifier, { targets }: PackedCaptions) {
  return tokenLoss.withExtras({ x, ...head, targets })
}
