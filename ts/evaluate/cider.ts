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
  /** tf: element n - 1 holds the n-grams. */
  readonly counts: NgramCounts
  /** idf of each of them, in the same order. */
  readonly idf: readonly (readonly number[])[]
  /** Euclidean norm of the weights tf · idf, for each n. */
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
  const references = images.map((image) => image.references)
  return createCider(references, frequencies)(images.map(({ candidate }) => candidate))
}

/**
 * `cider` of several candidates of the same images: what follows from the references is computed once.
 * @returns the scores of one candidate for each image, in the order of `references`
 */
export function createCider(
  references: readonly (readonly (readonly string[])[])[],
  frequencies?: DocumentFrequencies,
  count = ngramCounts,
): (candidates: readonly (readonly string[])[]) => Cider {
  const counts = references.map((captions) => captions.map(count))
  const table = frequencies ?? documentFrequencies(counts)
  const vectors = counts.map((captions) => captions.map((one) => captionVector(one, table)))
  return (candidates) => {
    const perImage = candidates.map((candidate, i) => {
      const vector = captionVector(count(candidate), table)
      const others = vectors[i] as readonly CaptionVector[]
      const sum = others.reduce((total, other) => total + ciderSimilarity(vector, other), 0)
      return sum / others.length
    })
    return { mean: perImage.reduce((sum, value) => sum + value, 0) / perImage.length, perImage }
  }
}

/** Counts, for each n-gram, the images of which at least one reference has it. */
export function documentFrequencies(
  references: Iterable<readonly NgramCounts[]>,
): DocumentFrequencies {
  const counts = new Map<string, number>()
  let images = 0
  for (const captions of references) {
    images++
    const seen = captions.length === 1 ? undefined : new Set<string>()
    for (const order of captions.flat()) {
      for (const ngram of order.keys()) {
        if (seen?.has(ngram)) continue
        seen?.add(ngram)
        counts.set(ngram, (counts.get(ngram) ?? 0) + 1)
      }
    }
  }
  return { images, counts }
}

/** The tf-idf vector of a caption: count · (ln images - ln max(1, document frequency)). */
export function captionVector(counts: NgramCounts, table: DocumentFrequencies): CaptionVector {
  const logImages = Math.log(table.images)
  const norms: number[] = []
  const idf = counts.map((order) => {
    const values: number[] = []
    let squares = 0
    for (const [ngram, count] of order) {
      const value = logImages - Math.log(Math.max(1, table.counts.get(ngram) ?? 0))
      values.push(value)
      squares += (count * value) ** 2
    }
    norms.push(Math.sqrt(squares))
    return values
  })
  let length = 0
  for (const count of counts[1]?.values() ?? []) length += count
  return { counts, idf, norms, length }
}

/** CIDEr-D of one candidate against one reference, 0-10. */
export function ciderSimilarity(candidate: CaptionVector, reference: CaptionVector): number {
  let sum = 0
  for (let k = 0; k < MAX_ORDER; k++) {
    const norm = (candidate.norms[k] as number) * (reference.norms[k] as number)
    if (norm === 0) continue
    const others = reference.counts[k] as ReadonlyMap<string, number>
    let product = 0
    let i = 0
    for (const [ngram, count] of candidate.counts[k] ?? []) {
      const idf = candidate.idf[k]?.[i++] as number
      const other = others.get(ngram)
      if (other !== undefined) product += Math.min(count * idf, other * idf) * (other * idf)
    }
    sum += product / norm
  }
  const penalty = Math.exp(-((candidate.length - reference.length) ** 2) / (2 * SIGMA ** 2))
  return (10 * penalty * sum) / MAX_ORDER
}
