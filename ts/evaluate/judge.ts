/**
 * The result of an evaluation: every figure with its unit, and how the figures follow from losses and captions. What the
 * model does is measure.ts; the formulas are score.ts, floors.ts and intervals.ts. Takes seconds with thousands of
 * images, so it is called through judge-worker.ts.
 */
import { bootstrapInterval, corpusBleu, type Interval } from './bootstrap.js'
import { captionFloors } from './floors.js'
import type { LossResult } from './harness.js'
import { lossInterval, pairedInterval, shareInterval } from './intervals.js'
import type { JarScores } from './jars.js'
import { type MeteorCounts, meteorOfCounts, sumMeteorCounts } from './meteor/meteor.js'
import { createScorer, type Scores, tokenizeItem, withMeteor } from './score.js'
import { novelShare, type Variety } from './variety.js'

/** Scores of captions that come from no model; units as in Evaluation. */
export interface FloorScores {
  readonly bleu: readonly number[]
  readonly rougeL: number
  readonly cider: number
  readonly meteorExactStemSynonym: number
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

/** With `distinct` and the other signs of health of Variety. */
export interface Evaluation extends Variety {
  /** Images evaluated. */
  readonly images: number
  /** Images that could not be decoded, left out of everything, and why the first five could not. */
  readonly skipped: number
  readonly warnings: readonly string[]
  /** Teacher-forced mean cross-entropy of the references, nats per token, end tokens included. */
  readonly loss: number
  /** The same when each image is exchanged for another one; absent for a text-only model or a single image. */
  readonly shuffledLoss?: number
  /** The same of the text-only model, where one was given. */
  readonly textOnlyLoss?: number
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
  /** METEOR 1.5 without its paraphrase table, 0-1. */
  readonly meteorExactStemSynonym: number
  /** METEOR 1.5 and SPICE by their jars, where these were given, 0-1. */
  readonly meteor?: number
  readonly spice?: number
  /** Share of captions that no training caption equals, 0-1; absent where the data have no training captions. */
  readonly novel?: number
  /** Generated scenes only: share of captions that are true and complete, 0-1. */
  readonly exactMatch?: number
  /** What captions score that never saw the image, and what people score. */
  readonly floors: {
    readonly constant: FloorScores & { readonly caption: string }
    readonly random: FloorScores
    readonly human?: FloorScores
  }
  /** 95 % intervals over images; the differences are what the right image is worth, nats per token. */
  readonly intervals: {
    readonly loss: Interval
    readonly shuffledMinusLoss?: Interval
    readonly textOnlyMinusLoss?: Interval
    readonly bleu4: Interval
    readonly rougeL: Interval
    readonly cider: Interval
    readonly meteorExactStemSynonym: Interval
    readonly meteor?: Interval
    readonly spice?: Interval
    readonly exactMatch?: Interval
  }
  /** From image files to captions: decoding, encoder and search. */
  readonly captionsPerSecond: number
  readonly predictions: readonly Prediction[]
  /** The five predictions with the highest and with the lowest CIDEr-D, fewer where they would overlap. */
  readonly best: readonly Prediction[]
  readonly worst: readonly Prediction[]
}

/** All that is judged; plain data, so that it can be sent to a worker. */
export interface JudgeInput {
  readonly images: readonly {
    readonly id: string
    readonly path: string
    readonly captions: readonly string[]
  }[]
  readonly skipped: number
  readonly warnings: readonly string[]
  /** The best caption of each image, and its score. */
  readonly captions: readonly { readonly text: string; readonly score: number }[]
  readonly captionSeconds: number
  readonly loss: LossResult
  readonly shuffledLoss?: LossResult
  readonly textOnlyLoss?: LossResult
  /** Of the training images; empty where the data have none: then the floors take the references. */
  readonly trainingCaptions: readonly string[]
  /** Whether each caption is right, for generated scenes. */
  readonly exact?: readonly boolean[] | undefined
  /** By METEOR's and SPICE's jars, where these were given. */
  readonly jars: JarScores
  readonly seed: number
}

const EXAMPLES = 5

/** Everything that follows from losses and captions. Throws DataError as `scoreCaptions` does. */
export function judge(input: JudgeInput): Evaluation {
  const { images, captions, loss, shuffledLoss, textOnlyLoss, exact, jars, seed } = input
  const { trainingCaptions } = input
  const items = images.map(({ id, captions: references }, i) =>
    tokenizeItem({ id, candidate: captions[i]?.text ?? '', references }),
  )
  const candidates = items.map(({ candidate }) => candidate)
  const score = createScorer(items)
  const { perImage, meteorCounts, counts: _, ...scores } = withMeteor(score(candidates), items)
  const known =
    trainingCaptions.length > 0 ? trainingCaptions : images.flatMap((image) => image.captions)
  const { constant, random, human } = captionFloors(known, items, { seed, meteor: true, score })
  const hits = exact?.filter(Boolean).length ?? 0
  const mean = (values: readonly number[]) => bootstrapInterval(values, { seed })
  const predictions = images.map(
    ({ id, path, captions: references }, i): Prediction => ({
      image: id,
      path,
      caption: captions[i]?.text ?? '',
      score: captions[i]?.score ?? Number.NaN,
      references,
      cider: perImage[i]?.cider ?? 0,
      ...(exact && { exactMatch: exact[i] === true }),
    }),
  )
  return {
    ...scores,
    skipped: input.skipped,
    warnings: input.warnings,
    loss: loss.loss,
    ...(shuffledLoss && { shuffledLoss: shuffledLoss.loss }),
    ...(textOnlyLoss && { textOnlyLoss: textOnlyLoss.loss }),
    perplexity: Math.exp(loss.loss),
    tokenAccuracy: loss.accuracy,
    tokenAccuracy5: loss.accuracy5,
    ...jars.corpus,
    ...(trainingCaptions.length > 0 && {
      novel: novelShare(candidates, trainingCaptions),
    }),
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
      ...(textOnlyLoss && {
        textOnlyMinusLoss: pairedInterval(textOnlyLoss.perImage, loss.perImage, { seed }),
      }),
      bleu4: bootstrapInterval(
        perImage.map(({ counts }) => counts),
        { seed },
        corpusBleu(4),
      ),
      rougeL: mean(perImage.map((image) => image.rougeL)),
      cider: mean(perImage.map((image) => image.cider)),
      meteorExactStemSynonym: bootstrapInterval(meteorCounts, { seed }, corpusMeteor),
      ...(jars.meteorCounts && {
        meteor: bootstrapInterval(jars.meteorCounts, { seed }, corpusMeteor),
      }),
      ...(jars.corpus.spice !== undefined && {
        spice: mean(jars.perImage.map(({ spice = 0 }) => spice)),
      }),
      ...(exact && { exactMatch: shareInterval(hits, exact.length) }),
    },
    captionsPerSecond: images.length / input.captionSeconds,
    predictions,
    ...examples(predictions),
  }
}

function corpusMeteor(counts: readonly MeteorCounts[]): number {
  return meteorOfCounts(sumMeteorCounts(counts))
}

function floorScores({ bleu, rougeL, cider, meteorExactStemSynonym = 0 }: Scores): FloorScores {
  return { bleu, rougeL, cider, meteorExactStemSynonym }
}

function examples(predictions: readonly Prediction[]): Pick<Evaluation, 'best' | 'worst'> {
  const count = Math.min(EXAMPLES, Math.floor(predictions.length / 2))
  const sorted = predictions.toSorted((a, b) => b.cider - a.cider)
  return { best: sorted.slice(0, count), worst: sorted.slice(sorted.length - count).reverse() }
}
