/**
 * Rules that change logits before a token is chosen, for searches and samples alike: penalties for words that are there
 * already, and a beginning that is given. What each computes is the kernel adjustLogits's.
 */
import { argumentError, ShapeError, shapeText } from '../errors.js'
import type { Tensor } from '../tensor.js'
import { type DecodingOptions, whole } from './decoding.js'

/** Scores are log-probabilities under the changed logits: a penalty lowers them, a given beginning costs nothing. */
export interface LogitRules {
  /**
   * Above 0: a positive logit of a word seen in the window is divided by it, another multiplied. 1 when left out: none.
   * Source: Keskar et al. 2019, arXiv:1909.05858, section 4.1.
   */
  readonly repetitionPenalty?: number
  /** Words that it looks back at; 64 when left out. */
  readonly repetitionWindow?: number
  /** From 0: a word seen n > 1 times in the window loses it times (1 - 1 / n). 0 when left out: none. */
  readonly frequencyPenalty?: number
  /** Words that it looks back at; 128 when left out. */
  readonly frequencyWindow?: number
  /** No sequence of so many words comes twice; 0 when left out: any may. */
  readonly noRepeatNgram?: number
  /**
   * int32 [images, P], P < maxTokens: the words that captions begin with, the same number or filled up with -1 at the
   * end. Stays the caller's.
   */
  readonly forced?: Tensor | undefined
}

/**
 * Queues the rules on the logits of a position, in place; nothing where none has anything to do.
 * @param sequences int32 [R, T] words of the rows so far
 * @throws ArgumentError for a rule out of range; ShapeError when `forced` does not fit
 */
export function logitRules(
  { rules = {}, images, maxTokens, device }: DecodingOptions,
  sequences: Tensor,
): (logits: Tensor, position: number) => void {
  const {
    repetitionPenalty = 1,
    repetitionWindow = 64,
    frequencyPenalty = 0,
    frequencyWindow = 128,
    noRepeatNgram = 0,
    forced,
  } = rules
  if (!(repetitionPenalty > 0 && repetitionPenalty < Number.POSITIVE_INFINITY))
    throw argumentError('caption', 'repetitionPenalty', 'a number above 0', repetitionPenalty)
  if (!(frequencyPenalty >= 0 && frequencyPenalty < Number.POSITIVE_INFINITY))
    throw argumentError('caption', 'frequencyPenalty', 'a number from 0', frequencyPenalty)
  whole('repetitionWindow', repetitionWindow, 1, 2 ** 31 - 1)
  whole('frequencyWindow', frequencyWindow, 1, 2 ** 31 - 1)
  whole('noRepeatNgram', noRepeatNgram, 0, 2 ** 31 - 1)
  const given = forced?.shape[1] ?? 0
  if (forced && (forced.shape[0] !== images || given >= maxTokens || forced.dtype !== 'int32'))
    throw new ShapeError(
      `caption: forced is ${shapeText(forced.shape)} ${forced.dtype}; expected int32 [${images}, P] ` +
        `with P below maxTokens (${maxTokens})`,
    )
  const penalizes = repetitionPenalty !== 1 || frequencyPenalty > 0 || noRepeatNgram > 0
  return (logits, position) => {
    const begins = position < given
    if (!begins && !(penalizes && position > 0)) return
    device.kernels.adjustLogits(
      logits,
      sequences,
      begins ? forced : undefined,
      position,
      repetitionPenalty,
      repetitionWindow,
      frequencyPenalty,
      frequencyWindow,
      noRepeatNgram,
    )
  }
}
