/**
 * What captions score that never looked at the image, and what people score: the figures that every
 * score should stand beside. A score near the constant caption's is worth nothing.
 */

import { ArgumentError } from '../errors.js'
import { createRandom, shuffled } from '../random.js'
import { type CaptionVector, captionVector, ciderSimilarity, documentFrequencies } from './cider.js'
import { ngramCounts } from './ngrams.js'
import { tokenizeCaption } from './ptb.js'
import { createScorer, type Scores, scoreTokens, type TokenizedItem, withMeteor } from './score.js'

/** The search for the constant caption: captions considered, of these compared in full, and with how many. */
const SAMPLED_CAPTIONS = 20_000
const FINALISTS = 200
const SAMPLED_REFERENCES = 1000

export interface CaptionFloors {
  /** One training caption given to every image: the one nearest to all training captions by CIDEr-D. */
  readonly constant: { readonly caption: string; readonly scores: Scores }
  /** A random training caption for each image. */
  readonly random: Scores
  /** The first reference of each image against its others; absent when no image has two references. */
  readonly human?: Scores
}

export interface FloorOptions {
  /** Of the samples; the same seed gives the same floors. */
  readonly seed: number
  /** Whether METEOR is computed too. */
  readonly meteor?: boolean
  /** Scores of candidates for the items, where a scorer is there already. */
  readonly score?: ReturnType<typeof createScorer>
}

/**
 * Scores the floors on the references of `items`; their candidates are not used.
 *
 * @param trainCaptions captions of the training images, in any order
 * @param items at least one image, each with at least one reference
 * @throws ArgumentError without training captions or items; DataError as `scoreCaptions`
 */
export function captionFloors(
  trainCaptions: readonly string[],
  items: readonly TokenizedItem[],
  { seed, meteor = false, score = createScorer(items) }: FloorOptions,
): CaptionFloors {
  if (trainCaptions.length === 0) {
    throw new ArgumentError('caption floors: expected at least one training caption, received none')
  }
  const caption = constantCaption(trainCaptions, seed)
  const constantTokens = tokenizeCaption(caption)
  const random = createRandom(seed)
  const scoresOf = (candidates: readonly (readonly string[])[]): Scores => {
    if (!meteor) return score(candidates)
    const images = items.map((item, i) => ({ ...item, candidate: candidates[i] ?? [] }))
    const { meteorCounts, ...scores } = withMeteor(score(candidates), images)
    return scores
  }
  const withSeveral = items.filter((item) => item.references.length > 1)
  return {
    constant: { caption, scores: scoresOf(items.map(() => constantTokens)) },
    random: scoresOf(
      items.map(() =>
        tokenizeCaption(trainCaptions[Math.floor(random() * trainCaptions.length)] as string),
      ),
    ),
    ...(withSeveral.length > 0 && {
      human: scoreTokens(
        withSeveral.map(({ id, references }) => ({
          id,
          candidate: references[0] as readonly string[],
          references: references.slice(1),
        })),
        { meteor },
      ),
    }),
  }
}

/**
 * The training caption with the highest mean CIDEr-D against a sample of all. Without clipping and length
 * penalty that mean is a dot product with the mean of the sample's unit vectors: this ranks every caption
 * cheaply, and only the best are compared in full.
 */
function constantCaption(trainCaptions: readonly string[], seed: number): string {
  const different = [...new Set(trainCaptions)]
  const texts = Array.from(
    shuffled(different.length, seed).subarray(0, SAMPLED_CAPTIONS),
    (i) => different[i] as string,
  )
  const counts = texts.map((text) => ngramCounts(tokenizeCaption(text)))
  const table = documentFrequencies(counts.map((one) => [one]))
  const vectors = counts.map((one) => captionVector(one, table))
  const references = vectors.slice(0, SAMPLED_REFERENCES)

  const centre = new Map<string, number>()
  for (const reference of references) {
    forEachUnitWeight(reference, (ngram, weight) => {
      centre.set(ngram, (centre.get(ngram) ?? 0) + weight)
    })
  }
  const finalists = vectors
    .map((vector, i) => {
      let nearness = 0
      forEachUnitWeight(vector, (ngram, weight) => {
        nearness += weight * (centre.get(ngram) ?? 0)
      })
      return { text: texts[i] as string, vector, nearness }
    })
    .sort((a, b) => b.nearness - a.nearness)
    .slice(0, FINALISTS)
    .map(({ text, vector }) => ({
      text,
      total: references.reduce((sum, reference) => sum + ciderSimilarity(vector, reference), 0),
    }))
  return finalists.reduce((best, one) => (one.total > best.total ? one : best)).text
}

/** Calls `visit` with each weight of the vector, scaled so that each n-gram order has norm 1. */
function forEachUnitWeight(
  { counts, idf, norms }: CaptionVector,
  visit: (ngram: string, weight: number) => void,
): void {
  counts.forEach((order, k) => {
    const norm = norms[k] as number
    if (norm === 0) return
    let i = 0
    for (const [ngram, count] of order) visit(ngram, (count * (idf[k]?.[i++] as number)) / norm)
  })
}
