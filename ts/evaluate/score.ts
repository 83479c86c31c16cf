/** All caption metrics over a set of captions, from text. How the captions came about is others' work. */

import { ArgumentError, DataError, printable } from '../errors.js'
import { type BleuCounts, bleu } from './bleu.js'
import { createCider } from './cider.js'
import { type MeteorCounts, meteor } from './meteor/meteor.js'
import { createNgramCounter, type TokenizedImage } from './ngrams.js'
import { tokenizeCaption } from './ptb.js'
import { rougeL } from './rouge-l.js'
import { type Variety, varietyOf } from './variety.js'

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

export interface ScoreOptions {
  /** Whether METEOR is computed too, which takes WordNet's synonyms: a quarter of a second and 30 MB once. */
  readonly meteor?: boolean
}

export interface ImageScores {
  readonly id: string
  /** BLEU-1..4 of this image alone, 0-1; they do not average to the corpus BLEU. */
  readonly bleu: readonly number[]
  readonly counts: BleuCounts
  readonly rougeL: number
  readonly cider: number
  /** METEOR of this image alone, 0-1, where it was asked for. */
  readonly meteorExactStemSynonym?: number
}

export interface Scores extends Variety {
  readonly images: number
  /** Corpus BLEU-1..4, 0-1. */
  readonly bleu: readonly number[]
  readonly counts: BleuCounts
  /** Mean over images, 0-1. */
  readonly rougeL: number
  /** CIDEr-D, mean over images, 0-10: 0.45 is what papers print as 45. */
  readonly cider: number
  /** METEOR 1.5 without its paraphrase table, 0-1, of the counts of all images; where it was asked for. */
  readonly meteorExactStemSynonym?: number
  /** In the order given. */
  readonly perImage: readonly ImageScores[]
}

/** Scores, and of each image what METEOR was made of. */
export interface ScoresWithMeteor extends Scores {
  readonly meteorExactStemSynonym: number
  readonly meteorCounts: readonly MeteorCounts[]
}

/**
 * BLEU-1..4, ROUGE-L and CIDEr-D exactly as coco-caption reports them, METEOR, and how varied the captions are.
 *
 * @throws ArgumentError when there are no items
 * @throws DataError when an item has no references or an id comes twice
 */
export function scoreCaptions(items: readonly CaptionItem[], options: ScoreOptions = {}): Scores {
  return scoreTokens(items.map(tokenizeItem), options)
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
export function scoreTokens(items: readonly TokenizedItem[], options: ScoreOptions = {}): Scores {
  const score = createScorer(items)
  const candidates = items.map(({ candidate }) => candidate)
  if (!options.meteor) return score(candidates)
  const { meteorCounts, ...scores } = withMeteor(score(candidates), items)
  return scores
}

/**
 * `scoreTokens` for several candidates of the same images: what follows from the references is computed once.
 * @returns the scores, METEOR left out, of one candidate for each image, in the order of `items`
 */
export function createScorer(
  items: readonly Pick<TokenizedItem, 'id' | 'references'>[],
): (candidates: readonly (readonly string[])[]) => Scores {
  checkItems(items)
  const count = createNgramCounter()
  const cider = createCider(
    items.map(({ references }) => references),
    undefined,
    count,
  )
  return (candidates) => {
    const images = items.map(({ references }, i) => ({
      candidate: candidates[i] as readonly string[],
      references,
    }))
    const bleuScores = bleu(images, count)
    const rougeScores = rougeL(images)
    const ciderScores = cider(candidates)
    return {
      images: items.length,
      bleu: bleuScores.bleu,
      counts: bleuScores.counts,
      rougeL: rougeScores.mean,
      cider: ciderScores.mean,
      ...varietyOf(candidates, count),
      perImage: items.map(({ id }, i) => ({
        id,
        ...(bleuScores.perImage[i] as (typeof bleuScores.perImage)[number]),
        rougeL: rougeScores.perImage[i] as number,
        cider: ciderScores.perImage[i] as number,
      })),
    }
  }
}

/** Scores of these images with METEOR added. */
export function withMeteor(scores: Scores, images: readonly TokenizedImage[]): ScoresWithMeteor {
  const { score, perImage } = meteor(images)
  return {
    ...scores,
    meteorExactStemSynonym: score,
    perImage: scores.perImage.map((image, i) => ({
      ...image,
      meteorExactStemSynonym: perImage[i]?.score ?? 0,
    })),
    meteorCounts: perImage.map(({ counts }) => counts),
  }
}

/** Throws as `scoreCaptions` does. */
export function checkItems(
  items: readonly { readonly id: string; readonly references: readonly unknown[] }[],
): void {
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
