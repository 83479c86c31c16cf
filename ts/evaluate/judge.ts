/**
 * The result of an evaluation: every figure with its unit, and how the figures follow from losses and captions. What the
 * model does is measure.ts; the formulas are score.ts, floors.ts and intervals.ts.
 */
import { bootstrapInterval, corpusBleu, type Interval } from './bootstrap.js'
import { captionFloors } from './floors.js'
import { lossInterval, pairedInterval, shareInterval } from './intervals.js'
import type { Measured } from './measure.js'
import { type CaptionItem, type Scores, scoreCaptions } from './score.js'

/** Scores of captions that come from no model; units as in Evaluation. */
export interface FloorScores {
  readonly bleu: readonly number[]
  readonly rougeL: number
  readonly cider: number
}

export interface Prediction {
  /** Id of the image in the data set. */
  readonly image: string
  readonly path: string
  readonly caption: string
  /** Log-probability divided by length^lengthPenalty, nats. */
  readonly score: number
  readonly references: readonly string[]
  /** CIDEr-D of this caption, 0-10. */
  readonly cider: number
  /** Generated scenes only: whether the caption is true and complete. */
  readonly exactMatch?: boolean
}

export interface Evaluation {
  /** Images evaluated. */
  readonly images: number
  /** Images that could not be decoded, left out of everything, and why the first five could not. */
  readonly skipped: number
  readonly warnings: readonly string[]
  /** Teacher-forced mean cross-entropy of the references, nats per token, end tokens included. */
  readonly loss: number
  /** The same when each image is exchanged for another one; absent for a text-only model or a single image. */
  readonly shuffledLoss?: number
  /** exp(loss). */
  readonly perplexity: number
  /** Share of tokens whose right word is the likeliest, and among the five likeliest, 0-1. */
  readonly tokenAccuracy: number
  readonly tokenAccuracy5: number
  /** Corpus BLEU-1..4 of free-running captions, 0-1. */
  readonly bleu: readonly number[]
  /** 0-1. */
  readonly rougeL: number
  /** CIDEr-D, 0-10: 0.45 is what papers print as 45. */
  readonly cider: number
  /** Different captions / captions, and the same of words and of word pairs, 0-1. */
  readonly distinct: number
  readonly distinct1: number
  readonly distinct2: number
  /** Tokens in a caption, mean. */
  readonly meanLength: number
  /** Generated scenes only: share of captions that are true and complete, 0-1. */
  readonly exactMatch?: number
  /** What captions score that never saw the image, and what people score. */
  readonly floors: {
    readonly constant: FloorScores & { readonly caption: string }
    readonly random: FloorScores
    readonly human?: FloorScores
  }
  /** 95 % intervals over images; `shuffledMinusLoss` is what the right image is worth, nats per token. */
  readonly intervals: {
    readonly loss: Interval
    readonly shuffledMinusLoss?: Interval
    readonly bleu4: Interval
    readonly rougeL: Interval
    readonly cider: Interval
    readonly exactMatch?: Interval
  }
  /** From image files to captions: decoding, encoder and search. */
  readonly captionsPerSecond: number
  readonly predictions: readonly Prediction[]
}

/**
 * Everything that follows from losses and captions.
 * @param trainingCaptions of which the floors are made
 * @param exact whether each caption is right, for generated scenes
 */
export function judge(
  { images, errors, loss, shuffledLoss, captions, captionSeconds }: Measured,
  trainingCaptions: readonly string[],
  exact: readonly boolean[] | undefined,
  seed: number,
): Evaluation {
  const items: CaptionItem[] = images.map(({ id, captions: references }, i) => ({
    id,
    candidate: captions[i]?.text ?? '',
    references,
  }))
  const scores = scoreCaptions(items)
  const { constant, random, human } = captionFloors(trainingCaptions, items, seed)
  const hits = exact?.filter(Boolean).length ?? 0
  return {
    images: images.length,
    skipped: errors.length,
    warnings: errors.slice(0, 5).map(({ message }) => message),
    loss: loss.loss,
    ...(shuffledLoss && { shuffledLoss: shuffledLoss.loss }),
    perplexity: Math.exp(loss.loss),
    tokenAccuracy: loss.accuracy,
    tokenAccuracy5: loss.accuracy5,
    bleu: scores.bleu,
    rougeL: scores.rougeL,
    cider: scores.cider,
    distinct: scores.distinct,
    distinct1: scores.distinct1,
    distinct2: scores.distinct2,
    meanLength: scores.meanLength,
    ...(exact && { exactMatch: hits / exact.length }),
    floors: {
      constant: { caption: constant.caption, ...floorScores(constant.scores) },
      random: floorScores(random),
      ...(human && { human: floorScores(human) }),
    },
    intervals: {
      loss: lossInterval(loss.perImage, { seed }),
      ...(shuffledLoss && {
        shuffledMinusLoss: pairedInterval(shuffledLoss.perImage, loss.perImage, { seed }),
      }),
      bleu4: bootstrapInterval(
        scores.perImage.map(({ counts }) => counts),
        { seed },
        corpusBleu(4),
      ),
      rougeL: bootstrapInterval(
        scores.perImage.map((image) => image.rougeL),
        { seed },
      ),
      cider: bootstrapInterval(
        scores.perImage.map((image) => image.cider),
        { seed },
      ),
      ...(exact && { exactMatch: shareInterval(hits, exact.length) }),
    },
    captionsPerSecond: images.length / captionSeconds,
    predictions: images.map(({ id, path, captions: references }, i) => ({
      image: id,
      path,
      caption: captions[i]?.text ?? '',
      score: captions[i]?.score ?? Number.NaN,
      references,
      cider: scores.perImage[i]?.cider ?? 0,
      ...(exact && { exactMatch: exact[i] === true }),
    })),
  }
}

function floorScores({ bleu, rougeL, cider }: Scores): FloorScores {
  return { bleu, rougeL, cider }
}
