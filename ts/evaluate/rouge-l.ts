/** ROUGE-L as coco-caption computes it, from the longest common subsequence. Takes tokens. */

import type { TokenizedImage } from './ngrams.js'

/** Weight of recall against precision, as coco-caption sets it. */
const BETA = 1.2

export interface RougeL {
  /** Mean over images, 0-1. */
  readonly mean: number
  /** 0-1 for each image, in the order given. */
  readonly perImage: readonly number[]
}

/**
 * ROUGE-L = (1 + β²) P R / (R + β² P), with P = max LCS / candidate length and R = max LCS / reference
 * length, each the best over the references (they may be different ones), β = 1.2.
 *
 * @param images at least one image, each with at least one reference
 * Source: Lin 2004 (ROUGE); tylin/coco-caption, pycocoevalcap/rouge/rouge.py.
 */
export function rougeL(images: readonly TokenizedImage[]): RougeL {
  const perImage = images.map(imageRougeL)
  return { mean: perImage.reduce((sum, value) => sum + value, 0) / perImage.length, perImage }
}

function imageRougeL({ candidate, references }: TokenizedImage): number {
  let precision = 0
  let recall = 0
  for (const reference of references) {
    const common = longestCommonSubsequence(candidate, reference)
    if (common === 0) continue
    precision = Math.max(precision, common / candidate.length)
    recall = Math.max(recall, common / reference.length)
  }
  if (precision === 0) return 0
  return ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision)
}

function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  const best = new Array<number>(b.length + 1).fill(0)
  for (const token of a) {
    let diagonal = 0
    for (let j = 1; j <= b.length; j++) {
      const above = best[j] as number
      best[j] = token === b[j - 1] ? diagonal + 1 : Math.max(above, best[j - 1] as number)
      diagonal = above
    }
  }
  return best[b.length] as number
}
