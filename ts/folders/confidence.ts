/** How sure a model is of a caption, in a figure that does not depend on the caption's length. */
import type { Caption } from '../captioner.js'

/**
 * The geometric mean of the probabilities of a caption's tokens, its end included: e^(log-probability / tokens), 0-1.
 * @param lengthPenalty that its score was computed with
 */
export function confidenceOf(
  { score, tokens }: Pick<Caption, 'score' | 'tokens'>,
  lengthPenalty: number,
): number {
  const length = tokens.length + 1
  return Math.min(1, Math.exp(score * length ** (lengthPenalty - 1)))
}
