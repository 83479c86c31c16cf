/** Corpus BLEU-1..4 as coco-caption computes it: closest reference length, no smoothing. Takes tokens. */

import { MAX_ORDER, ngramCounts, type TokenizedImage } from './ngrams.js'

/** What BLEU is made of; counts of several images add up to the counts of the corpus. */
export interface BleuCounts {
  /** Tokens in the candidates. */
  readonly testlen: number
  /** Tokens in the references nearest in length, one for each candidate. */
  readonly reflen: number
  /** n-grams in the candidates, n = 1..4. */
  readonly guess: readonly number[]
  /** Those of them that a reference has too, each at most as often as in one reference. */
  readonly correct: readonly number[]
}

export interface Bleu {
  /** BLEU-1..4 of the whole corpus, 0-1. */
  readonly bleu: readonly number[]
  readonly counts: BleuCounts
  /** BLEU-1..4 (0-1) and counts of each image, in the order given. */
  readonly perImage: readonly { readonly bleu: readonly number[]; readonly counts: BleuCounts }[]
}

/**
 * BLEU-n = min(1, exp(1 - reflen / testlen)) · (Π_{k=1..n} correct_k / guess_k)^(1/n), over all images.
 *
 * @param images at least one image, each with at least one reference
 * @param count n-grams of a caption
 * Source: Papineni et al. 2002 (ACL); tylin/coco-caption, pycocoevalcap/bleu/bleu_scorer.py.
 */
export function bleu(images: readonly TokenizedImage[], count = ngramCounts): Bleu {
  const perImage = images.map((image) => {
    const counts = imageCounts(image, count)
    return { bleu: bleuOfCounts(counts), counts }
  })
  const counts = sumCounts(perImage.map((image) => image.counts))
  return { bleu: bleuOfCounts(counts), counts, perImage }
}

/** BLEU-1..4 (0-1) from counts of one image or of many. */
export function bleuOfCounts({ testlen, reflen, guess, correct }: BleuCounts): number[] {
  // These two constants of coco-caption keep empty counts finite; its figures depend on them.
  const tiny = 1e-15
  const small = 1e-9
  const ratio = (testlen + tiny) / (reflen + small)
  const brevity = ratio < 1 ? Math.exp(1 - 1 / ratio) : 1
  let product = 1
  return Array.from({ length: MAX_ORDER }, (_, k) => {
    product *= ((correct[k] as number) + tiny) / ((guess[k] as number) + small)
    return product ** (1 / (k + 1)) * brevity
  })
}

/** Counts of a corpus from those of its images. */
export function sumCounts(counts: readonly BleuCounts[]): BleuCounts {
  const guess = new Array<number>(MAX_ORDER).fill(0)
  const correct = new Array<number>(MAX_ORDER).fill(0)
  let testlen = 0
  let reflen = 0
  for (const one of counts) {
    testlen += one.testlen
    reflen += one.reflen
    for (let k = 0; k < MAX_ORDER; k++) {
      guess[k] = (guess[k] as number) + (one.guess[k] as number)
      correct[k] = (correct[k] as number) + (one.correct[k] as number)
    }
  }
  return { testlen, reflen, guess, correct }
}

function imageCounts(
  { candidate, references }: TokenizedImage,
  count: typeof ngramCounts,
): BleuCounts {
  const referenceCounts = references.map(count)
  const correct = count(candidate).map((counts, k) => {
    let matched = 0
    for (const [ngram, times] of counts) {
      let allowed = 0
      for (const reference of referenceCounts) {
        allowed = Math.max(allowed, reference[k]?.get(ngram) ?? 0)
      }
      matched += Math.min(times, allowed)
    }
    return matched
  })
  const testlen = candidate.length
  return {
    testlen,
    reflen: closestLength(testlen, references),
    guess: Array.from({ length: MAX_ORDER }, (_, k) => Math.max(0, testlen - k)),
    correct,
  }
}

/** The reference length nearest to `length`; the shorter of two that are equally near. */
function closestLength(length: number, references: readonly (readonly string[])[]): number {
  const byDistance = references
    .map((reference) => reference.length)
    .sort((a, b) => Math.abs(a - length) - Math.abs(b - length) || a - b)
  return byDistance[0] ?? 0
}
