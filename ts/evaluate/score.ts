/** All caption metrics over a set of captions, from text. How the captions came about is others' work. */

import { ArgumentError, DataError, printable } from '../errors.js'
import { type BleuCounts, bleu } from './bleu.js'
import { cider } from './cider.js'
import type { TokenizedImage } from './ngrams.js'
import { tokenizeCaption } from './ptb.js'
import { rougeL } from './rouge-l.js'

/** A generated caption and the human captions of the same image. */
export interface CaptionItem {
  readonly id: string
  readonly candidate: string
  readonly references: readonly string[]
}

/** A caption item as scoring tokens. */
export interface TokenizedItem extends TokenizedImage {
  readonly id: string
}

export interface ImageScores {
  readonly id: string
  /** BLEU-1..4 of this image alone, 0-1; they do not average to the corpus BLEU. */
  readonly bleu: readonly number[]
  readonly counts: BleuCounts
  readonly rougeL: number
  readonly cider: number
}

export interface Scores {
  readonly images: number
  /** Corpus BLEU-1..4, 0-1. */
  readonly bleu: readonly number[]
  readonly counts: BleuCounts
  /** Mean over images, 0-1. */
  readonly rougeL: number
  /** CIDEr-D, mean over images, 0-10: 0.45 is what papers print as 45. */
  readonly cider: number
  /** Share of candidates that differ from all before them, 0-1. */
  readonly distinct: number
  /** Different words / all words of the candidates, 0-1 (Li et al. 2016, arXiv:1510.03055). */
  readonly distinct1: number
  /** Different word pairs / all word pairs of the candidates, 0-1. */
  readonly distinct2: number
  /** Tokens in a candidate, mean. */
  readonly meanLength: number
  /** In the order given. */
  readonly perImage: readonly ImageScores[]
}

/**
 * BLEU-1..4, ROUGE-L and CIDEr-D exactly as coco-caption reports them, and how varied the captions are.
 *
 * @throws ArgumentError when there are no items
 * @throws DataError when an item has no references or an id comes twice
 */
export function scoreCaptions(items: readonly CaptionItem[]): Scores {
  return scoreTokens(items.map(tokenizeItem))
}

/** Tokenises the captions of one item for `scoreTokens`. */
export function tokenizeItem({ id, candidate, references }: CaptionItem): TokenizedItem {
  return {
    id,
    candidate: tokenizeCaption(candidate),
    references: references.map(tokenizeCaption),
  }
}

/** `scoreCaptions` for captions that are tokens already; throws as it does. */
export function scoreTokens(items: readonly TokenizedItem[]): Scores {
  check(items)
  const bleuScores = bleu(items)
  const rougeScores = rougeL(items)
  const ciderScores = cider(items)
  const candidates = items.map((item) => item.candidate)
  return {
    images: items.length,
    bleu: bleuScores.bleu,
    counts: bleuScores.counts,
    rougeL: rougeScores.mean,
    cider: ciderScores.mean,
    distinct: distinctShare(candidates.map((tokens) => tokens.join(' '))),
    distinct1: distinctShare(candidates.flat()),
    distinct2: distinctShare(candidates.flatMap(wordPairs)),
    meanLength: bleuScores.counts.testlen / items.length,
    perImage: items.map(({ id }, i) => ({
      id,
      ...(bleuScores.perImage[i] as (typeof bleuScores.perImage)[number]),
      rougeL: rougeScores.perImage[i] as number,
      cider: ciderScores.perImage[i] as number,
    })),
  }
}

function check(items: readonly TokenizedItem[]): void {
  if (items.length === 0) {
    throw new ArgumentError(
      'score captions: expected at least one caption with its references, received none',
    )
  }
  const bare = items.filter((item) => item.references.length === 0)
  if (bare[0] !== undefined) {
    throw new DataError(
      `score captions: ${bare.length} of ${items.length} images have no reference captions ` +
        `(first: ${printable(bare[0].id)}). Leave them out or add references`,
    )
  }
  const seen = new Set<string>()
  for (const { id } of items) {
    if (seen.has(id)) {
      throw new DataError(
        `score captions: image ${printable(id)} comes twice. Give each image one caption`,
      )
    }
    seen.add(id)
  }
}

function distinctShare(values: readonly string[]): number {
  return values.length === 0 ? 0 : new Set(values).size / values.length
}

function wordPairs(tokens: readonly string[]): string[] {
  return tokens.slice(1).map((token, i) => `${tokens[i]} ${token}`)
}
