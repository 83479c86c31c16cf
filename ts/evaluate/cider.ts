/** CIDEr-D as coco-caption's scorer computes it (tf-idf of 1- to 4-grams, no stemming). Takes tokens. */

import { MAX_ORDER, type NgramCounts, ngramCounts, type TokenizedImage } from './ngrams.js'

/** Standard deviation of the length penalty, in bigrams. */
const SIGMA = 6

/** How common n-grams are among images: what the idf weights are made from. */
export interface DocumentFrequencies {
  readonly images: number
  /** For each n-gram, the number of images with a reference that has it. */
  readonly counts: ReadonlyMap<string, number>
}

export interface Cider {
  /** Mean over images, on coco-caption's scale 0-10 (1.0 is what papers print as 100). */
  readonly mean: number
  /** For each image, in the order given. */
  readonly perImage: readonly number[]
}

/** A caption as tf-idf weights, for one frequency table. */
export interface CaptionVector {
  /** Element n - 1: n-gram to tf · idf. */
  readonly weights: readonly ReadonlyMap<string, number>[]
  /** Euclidean norm of each of them. */
  readonly norms: readonly number[]
  /** Number of bigrams: coco-caption's measure of length here. */
  readonly length: number
}

/**
 * CIDEr-D: for n = 1..4 the cosine of tf-idf vectors, candidate weights clipped to the reference's,
 * times exp(-Δlength² / 2σ²); mean over n and over references, times 10; then the mean over images.
 *
 * @param images at least one image, each with at least one reference
 * @param frequencies of n-grams; by default those of the references given. With a single image that
 *   makes every weight 0: give the frequencies of a larger set
 * Source: Vedantam et al. 2015, arXiv:1411.5726; tylin/coco-caption, pycocoevalcap/cider/cider_scorer.py.
 */
export function cider(images: readonly TokenizedImage[], frequencies?: DocumentFrequencies): Cider {
  const counted = images.map(({ candidate, references }) => ({
    candidate: ngramCounts(candidate),
    references: references.map(ngramCounts),
  }))
  const table = frequencies ?? documentFrequencies(counted.map((image) => image.references))
  const perImage = counted.map(({ candidate, references }) => {
    const vector = captionVector(candidate, table)
    const sum = references.reduce(
      (total, reference) => total + ciderSimilarity(vector, captionVector(reference, table)),
      0,
    )
    return sum / references.length
  })
  return { mean: perImage.reduce((sum, value) => sum + value, 0) / perImage.length, perImage }
}

/** Counts, for each n-gram, the images of which at least one reference has it. */
export function documentFrequencies(
  references: readonly (readonly NgramCounts[])[],
): DocumentFrequencies {
  const counts = new Map<string, number>()
  for (const captions of references) {
    const seen = new Set<string>()
    for (const orders of captions) {
      for (const order of orders) for (const ngram of order.keys()) seen.add(ngram)
    }
    for (const ngram of seen) counts.set(ngram, (counts.get(ngram) ?? 0) + 1)
  }
  return { images: references.length, counts }
}

/** The tf-idf vector of a caption: count · (ln images - ln max(1, document frequency)). */
export function captionVector(counts: NgramCounts, table: DocumentFrequencies): CaptionVector {
  const logImages = Math.log(table.images)
  const norms: number[] = []
  const weights = counts.map((order) => {
    const weighted = new Map<string, number>()
    let squares = 0
    for (const [ngram, count] of order) {
      const weight = count * (logImages - Math.log(Math.max(1, table.counts.get(ngram) ?? 0)))
      weighted.set(ngram, weight)
      squares += weight ** 2
    }
    norms.push(Math.sqrt(squares))
    return weighted
  })
  let length = 0
  for (const count of counts[1]?.values() ?? []) length += count
  return { weights, norms, length }
}

/** CIDEr-D of one candidate against one reference, 0-10. */
export function ciderSimilarity(candidate: CaptionVector, reference: CaptionVector): number {
  let sum = 0
  candidate.weights.forEach((order, k) => {
    const norm = (candidate.norms[k] as number) * (reference.norms[k] as number)
    if (norm === 0) return
    let product = 0
    for (const [ngram, weight] of order) {
      const other = reference.weights[k]?.get(ngram)
      if (other !== undefined) product += Math.min(weight, other) * other
    }
    sum += product / norm
  })
  const penalty = Math.exp(-((candidate.length - reference.length) ** 2) / (2 * SIGMA ** 2))
  return (10 * penalty * sum) / MAX_ORDER
}
